/** The configuration in force on this gateway, and whether a newer one was refused. Part of `/v1/cluster`. */
import type { ConfigurationStatus } from "../control/gateway-api.ts";
import type { Clock } from "../runtime/clock.ts";

export class ConfigurationState {
  readonly #clock: Clock;
  #file: string | undefined;
  #loadedAtMs: number;
  #refused: ConfigurationStatus["refused"] = null;

  constructor(file: string | undefined, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    this.#loadedAtMs = Math.floor(clock.wallTime());
  }

  get status(): ConfigurationStatus {
    return { file: this.#file ?? null, loadedAtMs: this.#loadedAtMs, refused: this.#refused };
  }

  /** For the warnings of the gateway. */
  get warning(): string | undefined {
    if (this.#refused === null) return undefined;
    return `the changed configuration file was refused, the previous one stays in force: ${this.#refused.why}`;
  }

  applied(): void {
    this.#loadedAtMs = Math.floor(this.#clock.wallTime());
    this.#refused = null;
  }

  refuse(why: string): void {
    this.#refused = { atMs: Math.floor(this.#clock.wallTime()), why };
  }
}
