/**
 * One gateway's copy of the shared tables, and what another copy lacks.
 *
 * A copy moves in two ways, and both keep the claim of its version vector (version-vector.ts) true:
 *
 * - *Pull.* The answering side sends all rows beyond the other's vector, in parts, in the order in which they arrived
 *   there. Only the last part allows the receiver to adopt the sender's vector. A row that is superseded between two
 *   parts moves to the end of the order and comes with a later part, so nothing that the vector claims is left out.
 * - *Push.* A run sends its own writes from number `since` to `upTo`. The receiver counts them only if it knew
 *   everything up to `since`. A write that another gateway's version superseded keeps its *slot*: the winner is sent in
 *   its place.
 *
 * An origin is one *run* of a gateway, so its numbers need not survive a crash: writes that were not stored belong to a
 * run that is over, and come back from any peer that received them. A deleted database is a copy with an empty vector.
 *
 * How it would lose a write: a vector ahead of the rows. Only three places raise an entry, and each says why.
 */
import { asOld, sameContent, supersedes, type Cell, type ReplicatedRow } from "./row.ts";
import { countOf, type VersionVector } from "./version-vector.ts";

interface Entry {
  readonly row: ReplicatedRow;
  /** When this version arrived here, as a number that only rises. */
  readonly arrival: number;
  /** Number of this run's latest write of the row, 0: none. Kept when another's version wins. */
  readonly slot: number;
}

export interface Write {
  readonly table: string;
  readonly key: string;
  readonly values: Readonly<Record<string, Cell>>;
  readonly deleted: boolean;
}

/** Own writes after `since`, up to and with `upTo`. */
export interface Push {
  readonly rows: readonly ReplicatedRow[];
  readonly since: number;
  readonly upTo: number;
}

export interface Part {
  readonly rows: readonly ReplicatedRow[];
  /** Where the next part begins; undefined: this was the last one. */
  readonly next: number | undefined;
}

/**
 * Own writes whose rows were written again are removed from the list once there are this many more of them than rows.
 */
const writtenSlackMax = 1_000;

export class RowReplica {
  readonly origin: string;
  readonly #tables = new Map<string, Map<string, Entry>>();
  readonly #byOrigin = new Map<string, Map<string, Entry>>();
  /** Highest number of a row ever put here, by origins with rows here. */
  readonly #highest = new Map<string, number>();
  readonly #vector = new Map<string, number>();
  readonly #retired = new Set<string>();
  #written: { readonly seq: number; readonly table: string; readonly key: string }[] = [];
  #arrivals = 0;
  #seq = 0;
  #size = 0;

  /** `origin`: this run, never used before. */
  constructor(origin: string) {
    this.origin = origin;
  }

  get vector(): VersionVector {
    return this.#vector;
  }

  /** Rows, tombstones included. */
  get size(): number {
    return this.#size;
  }

  get(table: string, key: string): ReplicatedRow | undefined {
    return this.#tables.get(table)?.get(key)?.row;
  }

  *rowsOf(table: string): Iterable<ReplicatedRow> {
    for (const { row } of this.#tables.get(table)?.values() ?? []) yield row;
  }

  countOf(table: string): number {
    return this.#tables.get(table)?.size ?? 0;
  }

  *rows(): Iterable<ReplicatedRow> {
    for (const table of this.#tables.keys()) yield* this.rowsOf(table);
  }

  /** Writes a row as this run. Undefined: nothing new, or a stronger version exists. */
  write(write: Write, hlc: string): ReplicatedRow | undefined {
    const current = this.get(write.table, write.key);
    const row: ReplicatedRow = { ...write, origin: this.origin, seq: this.#seq + 1, hlc };
    if (current !== undefined && (sameContent(row, current) || !supersedes(row, current))) return undefined;
    this.#seq++;
    this.#put(row, row.seq);
    this.#written.push({ seq: row.seq, table: row.table, key: row.key });
    if (this.#written.length > this.#size * 2 + writtenSlackMax)
      this.#written = this.#written.filter((write) => this.#holdsSlot(write));
    // A run knows its own writes as they are made.
    this.#vector.set(this.origin, this.#seq);
    return row;
  }

  /** Merges versions from elsewhere, in any order, any number of times. Returns those that are new here. */
  merge(rows: readonly ReplicatedRow[]): ReplicatedRow[] {
    return rows.filter((row) => {
      const current = this.#tables.get(row.table)?.get(row.key);
      if (current !== undefined && !supersedes(row, current.row)) return false;
      this.#put(row, current?.slot ?? 0);
      return true;
    });
  }

  /** Everything that `vector` claims has been merged here: claims it here as well from now on. */
  claim(vector: VersionVector): void {
    for (const [origin, count] of vector) this.#raise(origin, count);
  }

  /** Merges rows of a run's push. True: there was no gap before them, and they count. */
  mergePush(origin: string, push: Push): { readonly applied: ReplicatedRow[]; readonly counted: boolean } {
    const applied = this.merge(push.rows);
    const counted = countOf(this.#vector, origin) >= push.since;
    if (counted) this.#raise(origin, push.upTo);
    return { applied, counted };
  }

  /** Returns this run's writes after the first `since`. Undefined: none. */
  push(since: number, rowsMax: number): Push | undefined {
    if (since >= this.#seq) return undefined;
    const rows: ReplicatedRow[] = [];
    let upTo = this.#seq;
    for (let at = this.#firstAfter(since); at < this.#written.length; at++) {
      const write = this.#written[at];
      if (write === undefined || !this.#holdsSlot(write)) continue;
      const row = this.get(write.table, write.key);
      if (row === undefined) continue;
      rows.push(row);
      if (rows.length < rowsMax) continue;
      upTo = write.seq;
      break;
    }
    return { rows, since, upTo };
  }

  /**
   * Returns what the owner of `vector` lacks, oldest arrivals first, from `after` on. Includes rows that this copy
   * holds but does not claim: a push behind a gap may be all that is left of a run that lost power.
   */
  lackedBy(vector: VersionVector, after: number, rowsMax: number): Part {
    const lacking: Entry[] = [];
    for (const [origin, entries] of this.#byOrigin) {
      const known = countOf(vector, origin);
      if (known >= (this.#highest.get(origin) ?? 0)) continue;
      for (const entry of entries.values()) if (entry.row.seq > known && entry.arrival > after) lacking.push(entry);
    }
    lacking.sort((a, b) => a.arrival - b.arrival);
    const part = lacking.slice(0, rowsMax);
    return {
      rows: part.map(({ row }) => row),
      next: lacking.length > rowsMax ? (part.at(-1)?.arrival ?? after) : undefined,
    };
  }

  /**
   * Restamps rows from a clock that was far ahead as old, and drops all claims about other runs. Returns those rows.
   * All other gateways have refused these versions, so none is known elsewhere under its former stamp. If that is wrong
   * (the present clock is wrong, and behind), a peer that has a version with its true stamp sends it again, because
   * nothing is claimed.
   */
  outdate(isAhead: (hlc: string) => boolean): ReplicatedRow[] {
    const ahead = [...this.#tables.values()].flatMap((table) =>
      [...table.values()].filter(({ row }) => isAhead(row.hlc)),
    );
    const outdated = ahead.map(({ row, slot }) => {
      const old = { ...row, hlc: asOld(row.hlc) };
      this.#put(old, slot);
      return old;
    });
    if (outdated.length > 0)
      for (const origin of [...this.#vector.keys()]) if (origin !== this.origin) this.#vector.delete(origin);
    return outdated;
  }

  /** Removes a row without a trace: a tombstone that is old enough, or history beyond what is kept. */
  forget(table: string, key: string): void {
    const entry = this.#tables.get(table)?.get(key);
    if (entry === undefined) return;
    this.#tables.get(table)?.delete(key);
    this.#unlist(entry.row);
    this.#size--;
  }

  /**
   * Drops vector entries of finished runs without any row left, so that restarts do not add up. A peer that was away
   * may send such a row again; it loses against the version that superseded it.
   */
  forgetFinishedRuns(isLive: (origin: string) => boolean): void {
    for (const origin of this.#vector.keys()) {
      if (origin === this.origin || isLive(origin) || (this.#byOrigin.get(origin)?.size ?? 0) > 0) continue;
      this.#vector.delete(origin);
      this.#retired.add(origin);
    }
  }

  #raise(origin: string, count: number): void {
    if (origin === this.origin || this.#retired.has(origin)) return;
    if (count > countOf(this.#vector, origin)) this.#vector.set(origin, count);
  }

  #put(row: ReplicatedRow, slot: number): void {
    const table = this.#tables.get(row.table) ?? new Map<string, Entry>();
    this.#tables.set(row.table, table);
    const before = table.get(row.key);
    if (before === undefined) this.#size++;
    else this.#unlist(before.row);
    const entry: Entry = { row, arrival: ++this.#arrivals, slot };
    table.set(row.key, entry);
    const listed = this.#byOrigin.get(row.origin) ?? new Map<string, Entry>();
    this.#byOrigin.set(row.origin, listed);
    listed.set(`${row.table}\n${row.key}`, entry);
    if (row.seq > (this.#highest.get(row.origin) ?? 0)) this.#highest.set(row.origin, row.seq);
    this.#retired.delete(row.origin);
  }

  #unlist(row: ReplicatedRow): void {
    const listed = this.#byOrigin.get(row.origin);
    listed?.delete(`${row.table}\n${row.key}`);
    if (listed?.size !== 0) return;
    this.#byOrigin.delete(row.origin);
    this.#highest.delete(row.origin);
  }

  #holdsSlot(write: { readonly seq: number; readonly table: string; readonly key: string }): boolean {
    return this.#tables.get(write.table)?.get(write.key)?.slot === write.seq;
  }

  /** Returns the index in `#written` of the first write numbered above `since`. */
  #firstAfter(since: number): number {
    let low = 0;
    let high = this.#written.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#written[middle]?.seq ?? 0) <= since) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
