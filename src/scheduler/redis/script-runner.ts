// Runs scripts: adds what every script is told, reads the header of every reply, and notices when Redis has lost what it
// held.
import type { Clock } from "../../domain/clock.ts";
import { newToken } from "../../domain/ids.ts";
import { History } from "./history.ts";
import { type Client, command } from "./scheduler-connection.ts";
import { loadScripts, type Operation, type Script } from "./scripts.ts";

export type Argument = string | number | Buffer;
/** What a script answers, without its header: bulk strings are bytes. */
export type Reply = readonly unknown[];

export interface RunnerOptions {
  client: Client;
  /** "{tag}:" */
  prefix: string;
  clock: Clock;
  /** In tests: what to take for the server's clock, in ms. */
  serverTime?: () => number;
}

/** The Lua interpreter's own errors, unlike those that a command answered. */
const brokenOff = /user_script:\d+: (?!.*\b(OOM|READONLY|MISCONF|NOREPLICAS)\b)/;

/** A header: sequence, epoch, logical now, configuration version. */
type Header = readonly [number, Buffer, number, Buffer];

export class ScriptRunner {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #serverTime: (() => number) | undefined;
  readonly #scripts = loadScripts();
  readonly #history = new History();
  /** Logical time as last heard, and when that was by our own monotonic clock. */
  #heard: { logical: number; at: number } | undefined;
  /** The configuration to begin with if Redis holds nothing: the one that it held last. */
  #configJson: string;
  #configVersion = "";
  /** Of the last reply. */
  #epoch: string | undefined;

  constructor(options: RunnerOptions, configJson: string) {
    this.#client = options.client;
    this.#prefix = options.prefix;
    this.#clock = options.clock;
    this.#serverTime = options.serverTime;
    this.#configJson = configJson;
  }

  /** The version of the configuration that Redis held when it last answered. */
  get configVersion(): string {
    return this.#configVersion;
  }

  /** Makes the control state if Redis holds none. */
  async open(): Promise<void> {
    await this.#once("open", [newToken(), this.#configJson]);
  }

  /** Runs a script. Rejects with a RedisUnavailableError if Redis is away, or does not answer in time. */
  async run(operation: Operation, args: readonly Argument[]): Promise<Reply> {
    try {
      return await this.#once(operation, args);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.message.includes("NOSTATE")) {
        await this.open();
        return await this.#once(operation, args);
      }
      // A key is not there (evicted, deleted by hand), and the script stopped in the middle: only a rebuild mends that.
      if (brokenOff.test(error.message) && this.#epoch) await this.#once("distrust", [this.#epoch]);
      throw error;
    }
  }

  async #once(operation: Operation, args: readonly Argument[]): Promise<Reply> {
    const told = [`${this.#prefix}state`, this.#expectedTime(), Math.floor(this.#clock.wall()), this.#testTime()];
    const reply = await this.#evaluate(this.#scripts[operation], [...told, ...args]);
    const [[sequence, epochBytes, logical, version], ...rest] = reply as [Header, ...unknown[]];
    const epoch = epochBytes.toString();
    this.#epoch = epoch;
    if (operation === "distrust") this.#history.startFrom(epoch, sequence);
    else if (!this.#history.accepts(epoch, sequence)) {
      // An old snapshot: what this script did was done to that. Admission closes, and then the script says so itself.
      await this.#once("distrust", [epoch]);
      return this.#once(operation, args);
    }
    // Replies that were under way together are stamped in the order of the scripts, but not heard at once.
    this.#heard = { logical, at: this.#clock.now() };
    this.#noteVersion(version.toString());
    return rest;
  }

  /** Another process has configured: what to begin with if Redis is emptied is no longer our own. */
  #noteVersion(version: string): void {
    if (version === this.#configVersion) return;
    this.#configVersion = version;
    command(this.#client, () => this.#client.get(`${this.#prefix}config_json`)).then(
      (json) => {
        if (json !== null) this.#configJson = json;
      },
      () => {
        this.#configVersion = "";
      },
    );
  }

  async #evaluate(script: Script, args: readonly Argument[]): Promise<unknown> {
    return command(this.#client, async () => {
      try {
        return await this.#client.callBuffer("EVALSHA", script.sha1, 1, ...args);
      } catch (error) {
        // A new server, or SCRIPT FLUSH: EVAL makes the script known again.
        if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
        return await this.#client.callBuffer("EVAL", script.text, 1, ...args);
      }
    });
  }

  /** Time goes on here while the server's clock may be stepped: a lower bound of what it must be by now. */
  #expectedTime(): string {
    if (!this.#heard) return "";
    return String(this.#heard.logical + Math.max(0, Math.floor(this.#clock.now() - this.#heard.at)));
  }

  #testTime(): string {
    return this.#serverTime ? String(Math.floor(this.#serverTime())) : "";
  }
}
