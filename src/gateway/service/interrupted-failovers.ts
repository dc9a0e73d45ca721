/**
 * Concludes the rows of failovers whose gateway ended in the middle; otherwise they would stay `running`.
 *
 * A row belongs to the run of a gateway that wrote it last. A row of an earlier run of this gateway is concluded at
 * once; a peer's row once the peer was not heard for `silentMsMax`, so that a gateway which is only cut off writes the
 * end itself. A peer that comes back as another run concludes its own rows. Two gateways that do so at once write the
 * same. If the writer is alive after all, its next row is newer and wins.
 *
 * `interrupted` says that the gateway ended, not the failover: `to_host` and `epoch_to` name the owner of the next
 * epoch, if known, regardless of which gateway ordered it.
 */
import type { ReplicatedRow } from "../../core/replication/row.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { fromValues } from "../state/replication-tables.ts";
import { type FailoverRow, putFailover } from "../state/rows.ts";
import type { epochs, failovers } from "../state/schema.ts";
import { gatewayOf, type StateStore } from "../state/store.ts";

const lookEveryMs = 5_000;
/** A peer that was not heard for this long counts as ended for its unfinished failovers. */
export const silentMsMax = 60_000;

export interface InterruptedFailoversOptions {
  readonly gateway: string;
  readonly store: StateStore;
  readonly clock: Clock;
  /** Time since a gateway was heard; undefined: not by this run. */
  heardMsAgo(gateway: string): number | undefined;
}

export class InterruptedFailovers {
  readonly #options: InterruptedFailoversOptions;
  readonly #startedAt: number;
  #timer: Timer | undefined;

  constructor(options: InterruptedFailoversOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
  }

  /** Checks now and periodically, until `close`. */
  begin(): void {
    this.look();
    this.#timer = this.#options.clock.setTimer(lookEveryMs, () => this.begin());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  look(): void {
    const { replica } = this.#options.store;
    const dead = [...replica.rowsOf("failovers")].filter(
      (row) => row.values["outcome"] === "running" && !row.deleted && this.#hasEnded(row.origin),
    );
    for (const row of dead) this.#markInterrupted(row);
  }

  #hasEnded(origin: string): boolean {
    const { gateway, store, clock } = this.#options;
    if (origin === store.replica.origin) return false;
    const writer = gatewayOf(origin);
    if (writer === gateway) return true;
    return (this.#options.heardMsAgo(writer) ?? clock.now() - this.#startedAt) > silentMsMax;
  }

  #markInterrupted(stored: ReplicatedRow): void {
    const { store } = this.#options;
    const {
      origin: _origin,
      seq: _seq,
      hlc: _hlc,
      deleted: _deleted,
      ...row
    } = fromValues<typeof failovers.$inferSelect>(stored);
    const next = this.#successor(row.service, row.epochFrom);
    const known: Partial<FailoverRow> = next === undefined ? {} : { toHost: next.host, epochTo: next.epoch };
    store.writeAfter(stored.hlc, putFailover({ ...row, outcome: "interrupted", ...known }));
  }

  /** Returns the first known claim after an epoch. */
  #successor(service: string, epochFrom: number): { readonly host: string; readonly epoch: number } | undefined {
    const later = [...this.#options.store.replica.rowsOf("epochs")]
      .map((row) => fromValues<typeof epochs.$inferSelect>(row))
      .filter((epoch) => epoch.service === service && epoch.epoch > epochFrom && !epoch.deleted);
    return later.sort((a, b) => a.epoch - b.epoch)[0];
  }
}
