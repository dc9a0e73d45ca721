/**
 * Which gateways watch this host, and a warning when none does: a host that nobody watches is nobody's candidate, and
 * its own status would look as well as any other's.
 *
 * A gateway watches while it reads the status stream. One that takes the host out of its registry says so, by name;
 * that holds until this gateway watches again. A gateway that is gone says nothing, so silence counts as well.
 *
 * What gateways say of the formats of records that the hosts read (src/core/record-format.ts) is kept here too.
 */
import { type RecordFormat, ToldFormats } from "../../core/record-format.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Warnings } from "../ports/warnings.ts";

export interface GatewayWatchOptions {
  readonly clock: Clock;
  readonly warnings: Warnings;
  /** For the command that brings it back. */
  readonly host: string;
  readonly controlUrl: string;
  readonly rules: Rules;
}

/** A host that no gateway has watched for so long says so. */
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

  /** From now on silence counts. */
  start(): void {
    this.#unwatchedSince = this.#options.clock.now();
    this.#lookAgain();
  }

  close(): void {
    this.#timer?.cancel();
  }

  /**
   * A gateway begins to read the status stream; undefined: one that does not say which. Call what is returned when it
   * has ended.
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

  /** A gateway has taken this host out of its registry. */
  removedBy(gateway: string): void {
    if (!this.#removals.has(gateway) && this.#removals.size < removalsKept) {
      this.#removals.set(gateway, new Date(this.#options.clock.wallTime()).toISOString());
    }
    this.#tell();
  }

  /** A gateway said which format of records all hosts of the service read; undefined: it did not say. */
  toldFormat(gateway: string, format: number | undefined): void {
    if (format !== undefined) this.#formats.tell(gateway, format, this.#options.clock.now());
  }

  /** Of the next record that this host writes as a primary. */
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
