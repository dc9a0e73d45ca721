/**
 * The result of one collection: deltas for the journal, cut into parts that fit a record.
 *
 * Small batches hold their pages in memory. Large ones read each page when its part is made, from where the pin keeps
 * it readable; `done()` releases that pin. Parts can be made again (a retried put needs the same bytes). Frames of a
 * large transaction are read for the first time then (frame-stream.ts): the captured state follows with the last part.
 *
 * The pages that are put are the pages that were hashed. The pin keeps SQLite from changing a page that is read twice,
 * but it does not stop a program that writes to the file by other means (a copy, a download into a file of full size).
 * A page that is read again is therefore hashed again, and a difference ends the collection before its part can be put:
 * a flush with a wrong page has a checksum that no host accepts, and no host could apply the log after it. Earlier
 * parts do no harm: without the last one they are dropped at the next claim.
 *
 * Of a transaction that was read ahead, the parts that the vault has already come first (staged-pages.ts), each as a
 * record of its own, and then the pages that they lack.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { DatabaseDelta, Page } from "../core/delta.ts";
import { inDatabaseFile } from "./base-reader.ts";
import { lostContinuity } from "./capture-error.ts";
import { FrameStream } from "./frame-stream.ts";
import { hashPage, pageHashBytes, PageHashes } from "./page-hashes.ts";
import { readChunkBytes } from "./limits.ts";
import type { StagedPages } from "./staged-pages.ts";
import { readStaged, Rooms } from "./staged-part.ts";
import type { Changes, TrackedDatabase } from "./tracked-database.ts";

export interface Batch {
  /** Page content in all parts, bytes. */
  readonly bytes: number;
  readonly pageCount: number;
  readonly partCount: number;
  /**
   * The deltas of each part, at most `partBytesMax` of page content each (or one page). Reads lazily and synchronously.
   */
  parts(): Iterable<readonly DatabaseDelta[]>;
  /** Reads and proves the part after the last one taken, while that one is being put. Rejects with `CaptureError`. */
  readAhead(): Promise<void>;
  /** All parts are durable: pins may move. Idempotent. */
  done(): void;
  /** It is not put to its end. What the vault has in its care for it goes. */
  abort(): void;
}

/** All changes of one database in a batch; `pages` in the order of the put. */
export interface DatabaseChanges {
  readonly name: string;
  readonly pageSize: number;
  readonly pageCount: number;
  /** Checksum of the state after the last of its pages; available once that page was read. */
  readonly checksum: () => Uint8Array;
  readonly pages: readonly number[];
  /** Contents of pages of this batch, in their order. */
  contents(pages: readonly number[]): Uint8Array[];
  /** Put before `pages`. */
  readonly staged?: { readonly parts: readonly StagedPages[]; readonly headBytes: number } | undefined;
  /** Set if `contents` reads through the database's pin. */
  readonly holds: TrackedDatabase | undefined;
}

/** Accepted changes as part of a batch. */
export function databaseChanges(changes: Changes): DatabaseChanges {
  const { database, pageCount, frames, contents, hashes, unread, staged, located } = changes;
  if (unread !== undefined)
    return streamed(
      changes,
      new FrameStream(unread, frames, (proved) => database.accept({ ...changes, hashes: proved })),
    );
  // The table of a first capture becomes the database's own, which keeps changing.
  const hashed = contents === undefined && hashes instanceof PageHashes ? hashes.copy() : hashes;
  return {
    name: database.name,
    pageSize: database.pageSize,
    pageCount,
    checksum: constant(database.checksum()),
    pages: [...frames.keys()].sort((a, b) => a - b),
    contents: (pages) =>
      contents === undefined
        ? readAgain(database, pages, { frames: staged === undefined ? frames : (located ?? frames), hashes: hashed })
        : pages.map((page) => entryOf(contents, page)),
    staged,
    holds: staged !== undefined || (contents === undefined && frames.size > 0) ? database : undefined,
  };
}

function streamed({ database, pageCount }: Changes, stream: FrameStream): DatabaseChanges {
  const { name, pageSize } = database;
  let checksum: Uint8Array | undefined;
  const checksumAtEnd = (): Uint8Array => {
    stream.verifyEnd();
    return (checksum ??= database.checksum());
  };
  return {
    name,
    pageSize,
    pageCount,
    checksum: checksumAtEnd,
    pages: stream.pages,
    contents: (pages) => stream.take(pages),
    holds: database,
  };
}

const constant = (checksum: Uint8Array) => (): Uint8Array => checksum;
/** For a part with later parts in its flush: a database has no state in the middle of a flush. */
const noChecksum = new Uint8Array(pageHashBytes);

/** Reads pages again, adjacent ones with one call, and proves that they are the hashed ones. */
function readAgain(
  database: TrackedDatabase,
  pages: readonly number[],
  { frames, hashes }: { readonly frames: ReadonlyMap<number, number>; readonly hashes: Changes["hashes"] },
): Uint8Array[] {
  const contents: Uint8Array[] = [];
  const runMax = Math.max(1, Math.floor(readChunkBytes / database.pageSize));
  while (contents.length < pages.length) {
    const first = contents.length;
    const page = pages[first] as number;
    const frame = entryOf(frames, page);
    let count = 1;
    while (count < runMax && isNext(pages[first + count], page, frame, count)) count += 1;
    contents.push(...database.readRun(page, frame, count));
  }
  for (const [at, content] of contents.entries())
    if (!isAsHashed(pages[at] as number, content)) throw rewritten(database.name, pages[at] as number);
  return contents;

  function isNext(page: number | undefined, first: number, frame: number, count: number): boolean {
    if (page === undefined) return false;
    return frame === inDatabaseFile
      ? page === first + count && frames.get(page) === inDatabaseFile
      : frames.get(page) === frame + count;
  }

  function isAsHashed(page: number, content: Uint8Array): boolean {
    const hash = hashPage(page, content);
    return hashes instanceof PageHashes
      ? hashes.isSame(page, hash)
      : Buffer.compare(hashes.get(page) ?? hash.subarray(1), hash) === 0;
  }
}

function rewritten(name: string, page: number): Error {
  return lostContinuity(
    name,
    `page ${page} with content that changed a moment ago: a process wrote to the file without a log`,
    "pages that only SQLite writes",
  );
}

/** The application deleted the database, or an operator excluded it. */
export function removalOf({ name, pageSize }: Pick<TrackedDatabase, "name" | "pageSize">): DatabaseChanges {
  return {
    name,
    pageSize,
    pageCount: 0,
    checksum: constant(noChecksum),
    pages: [],
    contents: () => [],
    holds: undefined,
  };
}

/** `later` follows `changes`: one flush has one size and checksum per database. Both keep their pages in memory. */
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
  // Cut off by the first and added again by the second without content: zeros, not the replica's former content.
  for (let page = before.pageCount + 1; page <= after.pageCount; page++) pages.add(page);
  const contentsOf = (page: number): Uint8Array[] => {
    if (inAfter.has(page)) return after.contents([page]);
    return inBefore.has(page) ? before.contents([page]) : [new Uint8Array(after.pageSize)];
  };
  return { ...after, pages: [...pages].sort((a, b) => a - b), contents: (wanted) => wanted.flatMap(contentsOf) };
}

/**
 * Returns the removals that are due. Deletions wait until nothing is left out: otherwise a renamed or replaced database
 * would be deleted in the journal a moment before its new file is captured, and a failover in that moment would lose
 * it. A name that is captured again cannot wait: its new file does (deferred-names.ts).
 */
export function dueRemovals(
  removals: readonly DatabaseChanges[],
  captured: readonly DatabaseChanges[],
  isWhole: boolean,
): { readonly due: DatabaseChanges[]; readonly waiting: DatabaseChanges[] } {
  const again = new Set(captured.map(({ name }) => name));
  const isDue = ({ name }: DatabaseChanges): boolean => isWhole || again.has(name);
  return { due: removals.filter(isDue), waiting: removals.filter((removal) => !isDue(removal)) };
}

function entryOf<T>(entries: ReadonlyMap<number, T>, page: number): T {
  const entry = entries.get(page);
  if (entry === undefined) throw new RangeError(`page ${page} is not in this batch`);
  return entry;
}

/** One part: a staged one, or pages of one or more databases. */
type Planned = StagedPiece | readonly Piece[];

interface StagedPiece {
  readonly changes: DatabaseChanges;
  readonly headBytes: number;
  readonly staged: StagedPages;
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
  const rooms = new Rooms();
  const drop = (): void => {
    for (const { staged } of databases) staged?.parts.forEach((part) => part.staged.drop());
  };
  let isDone = false;
  let taken = 0;
  let ahead: { readonly at: number; readonly deltas: readonly DatabaseDelta[] } | undefined;
  return {
    bytes: databases.reduce((sum, changes) => sum + pagesIn(changes) * changes.pageSize, 0),
    pageCount: databases.reduce((sum, changes) => sum + pagesIn(changes), 0),
    partCount: plan.length,
    *parts() {
      if (isDone) throw new Error("the batch is done; its pages may be gone");
      for (const [at, pieces] of plan.entries()) {
        const deltas = ahead?.at === at ? ahead.deltas : deltasOf(pieces);
        ahead = undefined;
        taken = at + 1;
        yield deltas;
      }
    },
    async readAhead() {
      const pieces = plan[taken];
      if (isDone || pieces === undefined) return;
      // Begin first whatever waits for the last part: it is the disk's work.
      await immediate();
      ahead = { at: taken, deltas: "staged" in pieces ? [await stagedDelta(pieces, rooms)] : deltasOf(pieces) };
    },
    done() {
      if (isDone) return;
      isDone = true;
      for (const { holds } of databases) if (holds !== undefined) holds.holds--;
      drop();
    },
    abort: drop,
  };
}

const pagesIn = ({ pages, staged }: DatabaseChanges): number =>
  (staged?.parts ?? []).reduce((sum, part) => sum + part.pages.length, pages.length);

/** Staged parts first: each is a record of its own, and in the order in which their database has them. */
function planParts(databases: readonly DatabaseChanges[], partBytesMax: number): Planned[] {
  const staged = databases.flatMap((changes) =>
    (changes.staged?.parts ?? []).map((part) => ({
      changes,
      headBytes: changes.staged?.headBytes ?? 0,
      staged: part,
    })),
  );
  return [...staged, ...planPages(databases, partBytesMax)];
}

function planPages(databases: readonly DatabaseChanges[], partBytesMax: number): Piece[][] {
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

function deltasOf(part: Planned): DatabaseDelta[] {
  return "staged" in part ? [againDelta(part.changes, part.staged)] : part.map(deltaOf);
}

function stagedDelta({ changes, staged, headBytes }: StagedPiece, rooms: Rooms): Promise<DatabaseDelta> {
  return readStaged(headOf(changes), staged, headBytes, rooms).catch(() => againDelta(changes, staged));
}

/** What the vault does not give back: the committed content of the same pages, which is what all parts lead to. */
function againDelta(changes: DatabaseChanges, { pages }: StagedPages): DatabaseDelta {
  const numbers = [...new Set(pages)];
  const contents = changes.contents(numbers);
  return {
    ...headOf(changes),
    pages: numbers.map((number, at): Page => ({ number, content: contents[at] as Uint8Array })),
  };
}

const headOf = ({ name, pageSize, pageCount }: DatabaseChanges): Omit<DatabaseDelta, "pages"> => ({
  name,
  pageSize,
  pageCount,
  checksum: noChecksum,
});

function deltaOf({ changes, start, end }: Piece): DatabaseDelta {
  const { name, pageSize, pageCount } = changes;
  const numbers = changes.pages.slice(start, end);
  const contents = changes.contents(numbers);
  const checksum = end === changes.pages.length ? changes.checksum() : noChecksum;
  const pages = numbers.map((number, at): Page => ({ number, content: contents[at] as Uint8Array }));
  return { name, pageSize, pageCount, checksum, pages };
}
