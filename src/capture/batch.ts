/**
 * What one collection found: deltas for the journal, cut into parts that fit a record.
 *
 * Small batches hold their pages in memory. Large ones read each page when its part is made, from the place where the
 * pin keeps it readable; `done()` lets that pin go. Parts can be made again (a put that is retried needs the same bytes).
 *
 * What is put is what was hashed. The pin keeps SQLite from changing a page that is read twice, but nothing keeps a program that
 * writes into the file by other means (a copy, a download into a file of full size). So a page that is read again is hashed again, and
 * one that differs ends the collection before its part can be put: a flush with a wrong page has a checksum that no host accepts,
 * and a log that goes on after it cannot be applied by anybody. The parts before it do no harm: without the last one they are
 * dropped at the next claim.
 */
import type { DatabaseDelta, Page } from "../core/delta.ts";
import { lostContinuity } from "./capture-error.ts";
import { hashPage, pageHashBytes, PageHashes } from "./page-hashes.ts";
import type { Changes, TrackedDatabase } from "./tracked-database.ts";

export interface Batch {
  /** Page content in all parts, bytes. */
  readonly bytes: number;
  readonly pageCount: number;
  readonly partCount: number;
  /** The deltas of each part, at most `partBytesMax` of page content each (or one page). Reads lazily and synchronously. */
  parts(): Iterable<readonly DatabaseDelta[]>;
  /** All parts are durable: pins may move. Calling it again does nothing. */
  done(): void;
}

/** All changes of one database in a batch; `pages` ascending. */
export interface DatabaseChanges {
  readonly name: string;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: Uint8Array;
  readonly pages: readonly number[];
  /** Content of a page of this batch. */
  content(page: number): Uint8Array;
  /** Set when `content` reads through the database's pin. */
  readonly holds: TrackedDatabase | undefined;
}

/** Accepted changes as part of a batch. */
export function databaseChanges({ database, pageCount, frames, contents, hashes }: Changes): DatabaseChanges {
  // The table of a first capture becomes the database's own, which goes on changing.
  const hashed = contents === undefined && hashes instanceof PageHashes ? hashes.copy() : hashes;
  return {
    name: database.name,
    pageSize: database.pageSize,
    pageCount,
    checksum: database.checksum(),
    pages: [...frames.keys()].sort((a, b) => a - b),
    content: (page) => contents?.get(page) ?? readAgain(database, page, frameOf(frames, page), hashed),
    holds: contents === undefined && frames.size > 0 ? database : undefined,
  };
}

function readAgain(database: TrackedDatabase, page: number, frame: number, hashes: Changes["hashes"]): Uint8Array {
  const content = database.readPage(page, frame);
  const hash = hashPage(page, content);
  const isSame = hashes instanceof PageHashes ? hashes.isSame(page, hash) : Buffer.compare(hashes.get(page) ?? hash.subarray(1), hash) === 0;
  if (isSame) return content;
  throw lostContinuity(database.name, `page ${page} with other content than a moment before: somebody wrote into the file without a log`, "pages that only SQLite writes");
}

/** The application deleted the database, or an operator excluded it. */
export function removalOf({ name, pageSize }: Pick<TrackedDatabase, "name" | "pageSize">): DatabaseChanges {
  const content = (page: number): never => {
    throw new RangeError(`page ${page} of a removed database`);
  };
  return { name, pageSize, pageCount: 0, checksum: new Uint8Array(pageHashBytes), pages: [], content, holds: undefined };
}

/** `later` follows `changes`: one flush has one size and checksum of each database. Both keep their pages in memory. */
export function overlay(changes: DatabaseChanges[], later: readonly DatabaseChanges[]): void {
  for (const change of later) {
    const at = changes.findLastIndex(({ name }) => name === change.name);
    const before = changes[at];
    if (before === undefined || before.pageCount === 0 || change.pageCount === 0) changes.push(change);
    else changes[at] = overlaid(before, change);
  }
}

function overlaid(before: DatabaseChanges, after: DatabaseChanges): DatabaseChanges {
  const inAfter = new Set(after.pages);
  const inBefore = new Set(before.pages);
  const pages = new Set([...before.pages.filter((page) => page <= after.pageCount), ...after.pages]);
  // Cut off by the first and added again by the second without content: zeros, and not what a replica has there.
  for (let page = before.pageCount + 1; page <= after.pageCount; page++) pages.add(page);
  const content = (page: number): Uint8Array => {
    if (inAfter.has(page)) return after.content(page);
    return inBefore.has(page) ? before.content(page) : new Uint8Array(after.pageSize);
  };
  return { ...after, pages: [...pages].sort((a, b) => a - b), content };
}

/**
 * Deletions wait until nothing is left out: a database that was renamed, or replaced, would otherwise be deleted in the journal a moment
 * before the file that it is now is captured, and a failover in that moment would lose it. A name that is captured again cannot wait.
 */
export function dueRemovals(removals: readonly DatabaseChanges[], captured: readonly DatabaseChanges[], isWhole: boolean): { readonly due: DatabaseChanges[]; readonly waiting: DatabaseChanges[] } {
  const again = new Set(captured.map(({ name }) => name));
  const isDue = ({ name }: DatabaseChanges): boolean => isWhole || again.has(name);
  return { due: removals.filter(isDue), waiting: removals.filter((removal) => !isDue(removal)) };
}

function frameOf(frames: ReadonlyMap<number, number>, page: number): number {
  const frame = frames.get(page);
  if (frame === undefined) throw new RangeError(`page ${page} is not in this batch`);
  return frame;
}

interface Piece {
  readonly changes: DatabaseChanges;
  readonly start: number;
  readonly end: number;
}

/** Plans the parts of a batch. */
export function batchOf(databases: readonly DatabaseChanges[], partBytesMax: number): Batch {
  const plan = planParts(databases, partBytesMax);
  for (const { holds } of databases) if (holds !== undefined) holds.holds++;
  let isDone = false;
  return {
    bytes: databases.reduce((sum, { pages, pageSize }) => sum + pages.length * pageSize, 0),
    pageCount: databases.reduce((sum, { pages }) => sum + pages.length, 0),
    partCount: plan.length,
    *parts() {
      if (isDone) throw new Error("the batch is done; its pages may be gone");
      for (const pieces of plan) yield pieces.map(deltaOf);
    },
    done() {
      if (isDone) return;
      isDone = true;
      for (const { holds } of databases) if (holds !== undefined) holds.holds--;
    },
  };
}

function planParts(databases: readonly DatabaseChanges[], partBytesMax: number): Piece[][] {
  const parts: Piece[][] = [[]];
  let room = partBytesMax;
  for (const changes of databases) {
    let start = 0;
    do {
      if (room < changes.pageSize && parts.at(-1)?.length !== 0 && changes.pages.length > 0) {
        parts.push([]);
        room = partBytesMax;
      }
      const end = Math.min(changes.pages.length, start + Math.max(1, Math.floor(room / changes.pageSize)));
      parts.at(-1)?.push({ changes, start, end });
      room -= (end - start) * changes.pageSize;
      start = end;
    } while (start < changes.pages.length);
  }
  return parts;
}

function deltaOf({ changes, start, end }: Piece): DatabaseDelta {
  const { name, pageSize, pageCount, checksum } = changes;
  const pages = changes.pages.slice(start, end).map((number): Page => ({ number, content: changes.content(number) }));
  return { name, pageSize, pageCount, checksum, pages };
}
