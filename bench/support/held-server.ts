// A process of its own for bench/held.ts: the simulator, or with the simulator's address as its argument the whole service
// in its embedded form in front of it. Sends its address.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startService } from "../../src/service/start-service.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";
import { claude, nova } from "./held-models.ts";
import { serviceSettings } from "./service-settings.ts";

const [, , endpoint] = process.argv;
const { url, stop } = endpoint === undefined ? await simulator() : await service(endpoint);
process.send!(url);
process.once("message", async () => {
  await stop();
  process.disconnect();
});

async function simulator() {
  const started = await startSimulator();
  return { url: started.url, stop: () => started.stop() };
}

async function service(endpoint: string) {
  const bedrock = (modelId: string) => ({ deployments: [{ region: "us-east-1", modelId, endpoint }] });
  const openAi = { provider: "openai" as const, region: "local", baseUrl: `${endpoint}/v1`, modelId: nova };
  const models = { nova: bedrock(nova), claude: bedrock(claude), chat: { deployments: [openAi] } };
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const started = await startService(serviceSettings({ models, defaultModel: "nova" }, dataDir));
  return {
    url: started.url!,
    async stop() {
      await started.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
