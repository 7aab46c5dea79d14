// Runs scripts: adds the arguments that every script takes, reads the header of every reply, and detects that Redis
// lost its data.
import type { Clock } from "../../domain/clock.ts";
import { newToken } from "../../domain/ids.ts";
import { History } from "./history.ts";
import { type Client, command } from "./scheduler-connection.ts";
import { loadScripts, type Operation, type Script } from "./scripts.ts";

export type Argument = string | number | Buffer;
/** A script's reply without its header. Bulk strings are bytes. */
export type Reply = readonly unknown[];

export interface RunnerOptions {
  client: Client;
  /** Prefix of all keys: "{tag}:". */
  prefix: string;
  clock: Clock;
  /** For tests: returns what to use as the server's clock, in milliseconds. */
  serverTime?: () => number;
  onScript?: OnScript | undefined;
}

/** Called when Redis has answered a script, or failed to. The duration is in milliseconds. Must not throw. */
export type OnScript = (script: Operation, ms: number, failed: boolean) => void;

/** Errors of the Lua interpreter itself, as opposed to errors of a command. */
const scriptAborted = /user_script:\d+: (?!.*\b(OOM|READONLY|MISCONF|NOREPLICAS)\b)/;

/** A header: sequence, epoch, logical time in milliseconds, configuration version. */
type Header = readonly [number, Buffer, number, Buffer];

export class ScriptRunner {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #serverTime: (() => number) | undefined;
  readonly #onScript: OnScript | undefined;
  readonly #scripts = loadScripts();
  readonly #history = new History();
  /** Logical time of the last reply, and when it arrived by this process's monotonic clock, in milliseconds. */
  #lastReply: { logical: number; at: number } | undefined;
  /** Configuration to store if Redis holds nothing: the last one that it held. */
  #configJson: string;
  #configVersion = "";
  /** Epoch of the last reply. */
  #epoch: string | undefined;

  constructor(options: RunnerOptions, configJson: string) {
    this.#client = options.client;
    this.#prefix = options.prefix;
    this.#clock = options.clock;
    this.#serverTime = options.serverTime;
    this.#onScript = options.onScript;
    this.#configJson = configJson;
  }

  /** Version of the configuration that Redis held at its last reply. */
  get configVersion(): string {
    return this.#configVersion;
  }

  /** Creates the control state if Redis holds none. */
  async open(): Promise<void> {
    await this.#once("open", [newToken(), this.#configJson]);
  }

  /** Runs a script. Rejects with a RedisUnavailableError if Redis is unavailable or does not answer in time. */
  async run(operation: Operation, args: readonly Argument[]): Promise<Reply> {
    try {
      return await this.#once(operation, args);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error.message.includes("NOSTATE")) {
        await this.open();
        return await this.#once(operation, args);
      }
      // A key is missing (evicted or deleted by hand), and the script stopped halfway. Only a rebuild repairs that.
      if (scriptAborted.test(error.message) && this.#epoch) await this.#once("distrust", [this.#epoch]);
      throw error;
    }
  }

  async #once(operation: Operation, args: readonly Argument[]): Promise<Reply> {
    const common = [`${this.#prefix}state`, this.#expectedTime(), Math.floor(this.#clock.wall()), this.#testTime()];
    const reply = await this.#timed(operation, this.#evaluate(this.#scripts[operation], [...common, ...args]));
    const [[sequence, epochBytes, logical, version], ...rest] = reply as [Header, ...unknown[]];
    const epoch = epochBytes.toString();
    this.#epoch = epoch;
    if (operation === "distrust") this.#history.startFrom(epoch, sequence);
    else if (!this.#history.accepts(epoch, sequence)) {
      // Redis holds an old snapshot, and this script changed only that. Admission closes, and the repeated script
      // reports it.
      await this.#once("distrust", [epoch]);
      return this.#once(operation, args);
    }
    // Replies to concurrent scripts carry times in the order of the scripts, but arrive together.
    this.#lastReply = { logical, at: this.#clock.now() };
    this.#noteVersion(version.toString());
    return rest;
  }

  async #timed<T>(operation: Operation, answer: Promise<T>): Promise<T> {
    const startedAt = this.#clock.now();
    let failed = true;
    try {
      const value = await answer;
      failed = false;
      return value;
    } finally {
      this.#onScript?.(operation, this.#clock.now() - startedAt, failed);
    }
  }

  /** Follows a configuration that another process stored, to use it if Redis is emptied. */
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
        // A new server, or SCRIPT FLUSH: EVAL loads the script again.
        if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
        return await this.#client.callBuffer("EVAL", script.text, 1, ...args);
      }
    });
  }

  /** Returns the least that logical time must be by now. Time advances here even if the server's clock is stepped. */
  #expectedTime(): string {
    if (!this.#lastReply) return "";
    return String(this.#lastReply.logical + Math.max(0, Math.floor(this.#clock.now() - this.#lastReply.at)));
  }

  #testTime(): string {
    return this.#serverTime ? String(Math.floor(this.#serverTime())) : "";
  }
}
