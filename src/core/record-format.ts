/**
 * The format of a primary's records: the newest that every host of the service can read, as far as the gateways know.
 *
 * How this is known: a host's status has the newest format that it reads; an earlier version has none, and reads format
 * 1. A gateway takes the lowest value of all registered hosts of the service, and sends it with each promote order and
 * each probe. A host that it has never heard, since one of them was added or started a moment ago, leaves that as it
 * is: it counts as what the primary writes now, and where no primary says so the gateway sends no value. A primary
 * writes the lowest of the gateways' recent values; without any it writes format 1. While hosts are upgraded one by
 * one, the last of them thus decides.
 *
 * Safety does not depend on it. A host that meets an unknown format refuses the record before it reads anything in it
 * (record-codec.ts), and so stays before it; a claim needs the end of the log (R1), so that host never claims, and
 * never misreads. The negotiation is for availability: hosts that are not upgraded yet stay candidates.
 *
 * How one would break it, and what happens:
 * - A host that no gateway knows, or that joins later with an earlier version: it refuses the first record of format 2,
 *   and its status says to use a version as new as the writer's. Once it is registered, the primary hears 1 and writes
 *   1; the next checkpoint comes after the last record of format 2, and the host starts there. Claims cannot block it:
 *   a claim always has format 1 (log-writer.ts).
 * - A host that returns to an earlier version counts with its last value until it reports again; then as above.
 * - A host that is added with an earlier version: until it is heard the primary may write format 2, as it did before.
 *   The log had such records already, so the host waits for a checkpoint in any case.
 * - A host that is gone for good but still registered counts with its last value. To a gateway that has started since
 *   it leaves the format as it is; that is 1 where a failover finds no recent value of any gateway, until the host is
 *   removed from the registry. Format 1 loses only what optional sections carry.
 * - Gateways that know different hosts: the lowest value counts. A gateway of an earlier version sends none, and does
 *   not count.
 * - A gateway that is gone: its value is forgotten after a while, whether it was 1 or 2.
 * - A claim or order that is delivered late: a promotion's value is as old as the order, which expires within seconds;
 *   probes renew it.
 *
 * Attacked in test/behaviour/host/sections.test.ts: "refuses a required section of an unknown kind". Attacked by the
 * mutant common-format.
 */

import type { Rules } from "./rules.ts";

/** The layouts of a record's bytes that this version reads and writes (src/vault/log/record-codec.ts). */
export type RecordFormat = 1 | 2;
export const newestRecordFormat: RecordFormat = 2;

export const oldestRecordFormat: RecordFormat = 1;

/** Several of the longest intervals between two probes. */
export const toldFormatMsMax = 180_000;
const gatewaysMax = 64;

/** What a host reports. An earlier version reports none, and has only format 1. */
export interface ReportedFormat {
  readonly reads: number;
  /** undefined unless it is primary. */
  readonly writes: number | undefined;
}

/**
 * Returns the newest format that all of them read. `hosts`: undefined for a registered host that has not been heard
 * yet. Returns undefined if it is not known, since that may be any format and no primary tells what it writes.
 */
export function commonFormat(hosts: readonly (ReportedFormat | undefined)[]): number | undefined {
  const heard = hosts.filter((host) => host !== undefined);
  const reads = heard.map((host) => host.reads);
  const written = heard.flatMap(({ writes }) => writes ?? []);
  if (heard.length === hosts.length) return lowestOf(reads);
  return written.length === 0 ? undefined : lowestOf([...reads, ...written]);
}

const lowestOf = (formats: readonly number[]): number =>
  formats.length === 0 ? oldestRecordFormat : Math.min(...formats);

/** The values that gateways sent to this host, and the resulting format of the records that it writes. */
export class ToldFormats {
  readonly #rules: Rules;
  readonly #words = new Map<string, { readonly format: number; readonly atMs: number }>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** `nowMs` is monotonic. */
  tell(gateway: string, format: number, nowMs: number): void {
    this.#words.delete(gateway);
    this.#words.set(gateway, { format, atMs: nowMs });
    const [oldest] = this.#words.keys();
    if (this.#words.size > gatewaysMax && oldest !== undefined) this.#words.delete(oldest);
  }

  /** Returns the format of the next record. */
  toWrite(nowMs: number): RecordFormat {
    if (!this.#rules.has("common-format")) return newestRecordFormat;
    const fresh = [...this.#words.values()].filter(({ atMs }) => nowMs - atMs < toldFormatMsMax);
    return lowestOf(fresh.map(({ format }) => format)) >= newestRecordFormat ? newestRecordFormat : oldestRecordFormat;
  }
}
