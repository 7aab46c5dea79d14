// Requests at a fixed rate, whatever the answers do: a slow answer delays no later request, so it shows in full.
// autocannon's `overallRate` sends in bursts (against a server that answers at once its p90 was 57 ms), hence this.
import { Agent, request } from "node:http";

/**
 * Posts the body `rate` times a second for `durationS`.
 * @returns from the moment each request was due to the end of its answer; milliseconds, ascending
 */
export async function openLoop(url: string, body: string, rate: number, durationS: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const total = Math.floor(rate * durationS);
  const latencies: number[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      const start = performance.now();
      let sent = 0;
      const sendDue = () => {
        for (; sent < total && start + (sent * 1000) / rate <= performance.now(); sent++) {
          const due = start + (sent * 1000) / rate;
          post(due);
        }
        if (sent < total) setImmediate(sendDue);
      };
      const post = (due: number) => {
        const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
        const sending = request(url, { method: "POST", agent, headers }, (response) => {
          if (response.statusCode !== 200) reject(new Error(`A request was answered ${response.statusCode}.`));
          response.resume();
          response.once("end", () => {
            latencies.push(performance.now() - due);
            if (latencies.length === total) resolve();
          });
        });
        sending.once("error", reject);
        sending.end(body);
      };
      sendDue();
    });
  } finally {
    agent.destroy();
  }
  return latencies.sort((a, b) => a - b);
}
