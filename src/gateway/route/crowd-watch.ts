/**
 * Warns that clients hold as many connections as are allowed (http/server/admission.ts): in the log, bounded, and in
 * the status while it lasts and a while after it.
 */
import type { Crowd } from "../../http/server/admission.ts";
import type { BoundedLog } from "../../runtime/bounded-log.ts";
import type { Clock } from "../../runtime/clock.ts";

const overMs = 60_000;

export class CrowdWatch {
  readonly #clock: Clock;
  readonly #log: BoundedLog;
  readonly #connectionsMax: number;
  readonly #perAddressMax: number;
  readonly #last: Record<Crowd, { at: number; closed: number; refused: number; address: string }>;

  constructor(
    clock: Clock,
    log: BoundedLog,
    limits: { readonly connectionsMax: number; readonly connectionsPerAddressMax: number },
  ) {
    this.#clock = clock;
    this.#log = log;
    this.#connectionsMax = limits.connectionsMax;
    this.#perAddressMax = limits.connectionsPerAddressMax;
    const never = { at: -Infinity, closed: 0, refused: 0, address: "" };
    this.#last = { all: { ...never }, address: { ...never } };
  }

  /** `closed` idle connections made room; 0: the new one was refused. */
  add(crowd: Crowd, address: string, closed: number): void {
    const last = this.#last[crowd];
    const isNew = this.#clock.now() - last.at > overMs;
    if (isNew) Object.assign(last, { closed: 0, refused: 0 });
    last.at = this.#clock.now();
    last.closed += closed;
    if (closed === 0) last.refused++;
    last.address = address;
    if (isNew || closed === 0)
      this.#log.warn("client connections are at their bound", {
        bound: crowd === "all" ? this.#connectionsMax : this.#perAddressMax,
        of: crowd === "all" ? "all clients" : address,
        what: closed === 0 ? "a new connection was refused" : "the longest idle ones are closed",
      });
  }

  /** One sentence for each bound that was reached lately. */
  get warnings(): string[] {
    return (["all", "address"] as const).flatMap((crowd) => {
      const { at, closed, refused, address } = this.#last[crowd];
      if (this.#clock.now() - at > overMs) return [];
      const what = `${closed} idle ones were closed and ${refused} new ones refused`;
      return crowd === "all"
        ? [
            `client connections are at their bound of ${this.#connectionsMax} (gateway.limits.connections): ${what} within the last minute; find out who opens them, or raise it together with the limit of open files`,
          ]
        : [
            `${address} has as many connections as one address may have, ${this.#perAddressMax} (gateway.limits.connections_per_address): ${what} within the last minute; if it is a proxy, name it in gateway.trusted_proxies`,
          ];
    });
  }
}
