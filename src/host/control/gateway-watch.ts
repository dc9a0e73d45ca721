/**
 * The gateways that watch this host, with a warning if there is none: an unwatched host is no candidate, although its
 * own status looks normal.
 *
 * A gateway watches while it reads the status stream. A gateway that removes the host from its registry says so, by
 * name; that holds until this gateway watches again. A gateway that is gone says nothing, so silence counts as well.
 *
 * The gateways' reports of the record formats that the hosts read (src/core/record-format.ts) are kept here too.
 */
import { type RecordFormat, ToldFormats } from "../../core/record-format.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Warnings } from "../ports/warnings.ts";

export interface GatewayWatchOptions {
  readonly clock: Clock;
  readonly warnings: Warnings;
  /** For the command that adds the host again. */
  readonly host: string;
  readonly controlUrl: string;
  readonly rules: Rules;
}

/** A host that no gateway has watched for this long warns. */
export const unwatchedMsMax = 30_000;
const lookEveryMs = 1_000;
/** Gateways whose removal is remembered: far more than a service has. */
const removalsKept = 64;

export class GatewayWatch {
  readonly #options: GatewayWatchOptions;
  readonly #removals = new Map<string, string>();
  readonly #formats: ToldFormats;
  #watching = 0;
  #unwatchedSince: number;
  #timer: Timer | undefined;

  constructor(options: GatewayWatchOptions) {
    this.#options = options;
    this.#formats = new ToldFormats(options.rules);
    this.#unwatchedSince = options.clock.now();
  }

  /** Silence counts from now on. */
  start(): void {
    this.#unwatchedSince = this.#options.clock.now();
    this.#lookAgain();
  }

  close(): void {
    this.#timer?.cancel();
  }

  /**
   * A gateway starts to read the status stream; undefined: it did not identify itself. Call the returned function when
   * the stream has ended.
   */
  watchedBy(gateway: string | undefined): () => void {
    this.#watching += 1;
    if (gateway === undefined) this.#removals.clear();
    else this.#removals.delete(gateway);
    this.#tell();
    return () => {
      this.#watching -= 1;
      this.#unwatchedSince = this.#options.clock.now();
    };
  }

  /** A gateway has removed this host from its registry. */
  removedBy(gateway: string): void {
    if (!this.#removals.has(gateway) && this.#removals.size < removalsKept) {
      this.#removals.set(gateway, new Date(this.#options.clock.wallTime()).toISOString());
    }
    this.#tell();
  }

  /** A gateway reported the record format that all hosts of the service read; undefined: it did not. */
  toldFormat(gateway: string, format: number | undefined): void {
    if (format !== undefined) this.#formats.tell(gateway, format, this.#options.clock.now());
  }

  /** Format of the next record that this host writes as a primary. */
  get recordFormat(): RecordFormat {
    return this.#formats.toWrite(this.#options.clock.now());
  }

  #lookAgain(): void {
    this.#tell();
    this.#timer = this.#options.clock.setTimer(lookEveryMs, () => this.#lookAgain());
  }

  #tell(): void {
    const { clock, warnings, host, controlUrl } = this.#options;
    const back = `\`stead hosts add ${host} ${controlUrl}\` brings it back, or stop it`;
    if (this.#removals.size > 0) {
      const by = [...this.#removals].map(([gateway, at]) => `gateway ${gateway} at ${at}`).join(", ");
      return warnings.warn(`removed from the registry of ${by}: it cannot be promoted; ${back}`, "registry");
    }
    if (this.#watching === 0 && clock.now() - this.#unwatchedSince >= unwatchedMsMax) {
      return warnings.warn(
        `no gateway watches this host: it cannot be promoted; check that a gateway runs and can reach ${controlUrl}; ${back}`,
        "registry",
      );
    }
    warnings.over("registry");
  }
}
