/**
 * What the end of an epoch meant for the requests of this gateway's clients: how many were held, replayed, and ended as
 * unknown or failed around it. It concerns every gateway, also those that heard of the new primary from others.
 *
 * Counted is from two seconds before this gateway was in doubt (a connection that breaks ends requests before a gateway
 * decides) until two seconds after it routes to the next epoch (held requests end then), or until the doubt in which
 * that one ends as well. A doubt that ends in the same epoch counts for nothing.
 */
import type { ServiceState } from "../../core/failover/state.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Traffic, TrafficCounts } from "../route/traffic.ts";

const aroundMs = 2_000;

export interface FailoverImpact {
  readonly epochFrom: number;
  readonly held: number;
  readonly replayed: number;
  readonly unknown: number;
  readonly failed: number;
}

interface Counting {
  readonly epochFrom: number;
  readonly before: TrafficCounts;
}

export class FailoverImpacts {
  readonly #clock: Clock;
  readonly #traffic: Pick<Traffic, "counts" | "countsBefore">;
  readonly #onImpact: (impact: FailoverImpact) => void;
  /** The epoch that was served last; undefined: none yet. */
  #epoch: number | undefined;
  #counting: Counting | undefined;
  #ending: (Counting & { readonly timer: Timer }) | undefined;

  /** `onImpact` is called for an epoch whose end any request noticed. */
  constructor(
    clock: Clock,
    traffic: Pick<Traffic, "counts" | "countsBefore">,
    onImpact: (impact: FailoverImpact) => void,
  ) {
    this.#clock = clock;
    this.#traffic = traffic;
    this.#onImpact = onImpact;
  }

  /** After each turn of the state machine. */
  look({ phase, primary, routed }: Pick<ServiceState, "phase" | "primary" | "routed">): void {
    if (phase.kind === "serving" && primary !== undefined && routed.kind === "host") return this.#serves(primary.epoch);
    if (this.#epoch === undefined || this.#counting !== undefined) return;
    this.#counting = { epochFrom: this.#epoch, before: this.#countsThen() };
  }

  #serves(epoch: number): void {
    if (this.#epoch !== undefined && epoch > this.#epoch)
      this.#counting ??= { epochFrom: this.#epoch, before: this.#countsThen() };
    const counted = this.#counting;
    this.#counting = undefined;
    this.#epoch = epoch;
    if (counted === undefined || epoch === counted.epochFrom) return;
    // The earlier epoch's count ends where this one's begins.
    this.#tell(counted.before);
    this.#ending = { ...counted, timer: this.#clock.setTimer(aroundMs, () => this.close()) };
  }

  #countsThen(): TrafficCounts {
    return this.#ending === undefined ? this.#traffic.countsBefore(aroundMs) : this.#traffic.counts;
  }

  /** Tells what is counted so far. */
  close(): void {
    const now = this.#traffic.counts;
    // A doubt that has begun meanwhile counts from here on.
    if (this.#ending !== undefined && this.#counting !== undefined) this.#counting = { ...this.#counting, before: now };
    this.#tell(now);
  }

  #tell(now: TrafficCounts): void {
    const ended = this.#ending;
    if (ended === undefined) return;
    this.#ending = undefined;
    ended.timer.cancel();
    const { epochFrom, before } = ended;
    const impact = {
      held: now.held - before.held,
      replayed: now.replayed - before.replayed,
      unknown: now.unknown - before.unknown,
      failed: now.failed - before.failed,
    };
    if (Object.values(impact).some((count) => count > 0)) this.#onImpact({ epochFrom, ...impact });
  }
}
