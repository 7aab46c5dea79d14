// Keeps all cores busy with other work, as on a machine that the service shares.
import { spawn } from "node:child_process";

/** Starts one spinning process for each core. The returned function ends them. */
export function keepCoresBusy(cores: number): () => void {
  const spin = () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  const processes = Array.from({ length: cores }, spin);
  const end = () => {
    for (const child of processes) child.kill("SIGKILL");
  };
  process.once("exit", end);
  return () => {
    process.off("exit", end);
    end();
  };
}
