/**
 * Which format the records of a primary have: the newest that every host of the service can read, as far as the
 * gateways know.
 *
 * How that is known. A host tells in its status the newest format that it reads; an earlier version tells none, and
 * reads format 1. A gateway looks at all hosts that are registered for the service, takes the least of what they told
 * (1 for one that it has never heard), and says it with each order to promote and with each of its probes. A primary
 * writes the least of what gateways said to it lately; one that was told nothing writes format 1. So while hosts are
 * upgraded one by one, the last of them decides.
 *
 * Safety does not rest on it. A host that meets a format which it does not know refuses the record before it reads
 * anything in it (record-codec.ts), so it stays in front of it; a claim needs the end of the log (R1), so that host
 * never claims, and never misreads. What is negotiated is availability: that hosts which are not upgraded yet go on
 * being candidates.
 *
 * How one would break it, and what happens:
 * - A host that no gateway knows, or that comes later with an earlier version: it refuses the first record of format 2
 *   and says in its status to use a version as new as the writer's. Once it is registered, the primary hears 1 and
 *   writes 1; the next checkpoint stands behind the last record of format 2, and the host begins there. Its claims
 *   cannot stop it: a claim is of format 1 (log-writer.ts).
 * - A host that goes back to an earlier version counts as it told last until it tells again. The same as above.
 * - A host that is gone for good and still registered: it counts as it told last; a gateway that has started since has
 *   never heard it, and says 1 until it is removed from the registry. Format 1 loses nothing but what only sections
 *   carry.
 * - Gateways that know different hosts: the least counts. One of an earlier version says nothing, and does not count.
 * - A gateway that is gone: its word is forgotten after a while, whether it was 1 or 2.
 * - A claim or order that is delivered late: a promotion's word is as old as the order, which expires within seconds;
 *   probes renew it.
 */

import type { Rules } from "./rules.ts";

/** The layouts of a record's bytes that this version reads and writes (src/vault/log/record-codec.ts). */
export type RecordFormat = 1 | 2;
export const newestRecordFormat: RecordFormat = 2;

/** What a host reads that does not tell: it is of a version before there was a second format. */
export const oldestRecordFormat: RecordFormat = 1;

/** Several of the longest intervals between two probes. */
export const toldFormatMsMax = 180_000;
const gatewaysMax = 64;

/** The newest format that all of them read. undefined: one that did not tell. */
export const commonFormat = (hosts: Iterable<number | undefined>): number => {
  const formats = [...hosts].map((reads) => reads ?? oldestRecordFormat);
  return formats.length === 0 ? oldestRecordFormat : Math.min(...formats);
};

/** What gateways said to this host, and what follows from it for the records that it writes. */
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

  /** Of the next record. */
  toWrite(nowMs: number): RecordFormat {
    if (!this.#rules.has("common-format")) return newestRecordFormat;
    const fresh = [...this.#words.values()].filter(({ atMs }) => nowMs - atMs < toldFormatMsMax);
    return commonFormat(fresh.map(({ format }) => format)) >= newestRecordFormat
      ? newestRecordFormat
      : oldestRecordFormat;
  }
}
