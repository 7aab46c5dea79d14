// SIGTERM and SIGINT: the first one drains and stops, a second one exits at once.
import { constants } from "node:os";

/**
 * A runner such as `node --watch` (npm run dev) forwards Ctrl-C to a process that already received it from the terminal.
 * Two signals within this many milliseconds count as one, because no user presses a key twice that fast.
 */
const samePressMs = 200;

/**
 * Calls `stop` on the first signal and exits with the code when it is done; exits at once on the next signal.
 * @returns a function that gives the signals their default effect again
 */
export function stopOnSignal(stop: () => Promise<void>, exitCode: number): () => void {
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      stop().then(
        () => process.exit(exitCode),
        (error) => {
          console.error(error);
          process.exit(1);
        },
      );
    } else if (performance.now() - firstAt > samePressMs) {
      process.exit(128 + constants.signals[signal]);
    }
  };
  const signals = ["SIGTERM", "SIGINT"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
}
