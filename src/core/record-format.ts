/**
 * The format of a primary's records: the newest that every host of the service can read, as far as the gateways know.
 *
 * How this is known: a host's status has the newest format that it reads; an earlier version has none, and reads format
 * 1. A gateway takes the lowest value of all registered hosts of the service (1 for a host that it has never heard),
 * and sends it with each promote order and each probe. A primary writes the lowest of the gateways' recent values;
 * without any it writes format 1. While hosts are upgraded one by one, the last of them thus decides.
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
 * - A host that is gone for good but still registered counts with its last value; a gateway that has started since has
 *   never heard it, and says 1 until it is removed from the registry. Format 1 loses only what sections carry.
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

/** The format of a host that reports none: its version has only one format. */
export const oldestRecordFormat: RecordFormat = 1;

/** Several of the longest intervals between two probes. */
export const toldFormatMsMax = 180_000;
const gatewaysMax = 64;

/** Returns the newest format that all of them read. undefined: a host that reports none. */
export const commonFormat = (hosts: Iterable<number | undefined>): number => {
  const formats = [...hosts].map((reads) => reads ?? oldestRecordFormat);
  return formats.length === 0 ? oldestRecordFormat : Math.min(...formats);
};

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
    return commonFormat(fresh.map(({ format }) => format)) >= newestRecordFormat
      ? newestRecordFormat
      : oldestRecordFormat;
  }
}
