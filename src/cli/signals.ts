// SIGTERM and SIGINT: the first one stops in an orderly way, a second one at once.
import { constants } from "node:os";

/**
 * `tsx watch` (npm run dev) passes Ctrl-C on to a process that has got it from the terminal already: two signals 2 ms
 * apart are one wish. Nobody presses a key twice as fast as this.
 */
const sameWishMs = 200;

/** Calls `stop` on the first signal and exits with the code when it is done; exits at once on the next signal. */
export function stopOnSignal(stop: () => Promise<void>, exitCode: number): void {
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
    } else if (performance.now() - firstAt > sameWishMs) {
      process.exit(128 + constants.signals[signal]);
    }
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}
