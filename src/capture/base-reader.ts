/**
 * Reads all of a database: for its first capture, and for the first one after no process had it open, which finds
 * changes by comparing with the state captured before.
 */
import { fstatSync } from "node:fs";
import { hashPage, lockPage, PageHashes } from "./page-hashes.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { Changes, TrackedDatabase } from "./tracked-database.ts";
import type { WalIndex } from "./wal-index.ts";
import { readFrames } from "./wal-reader.ts";

/** Marks a page that is in the database file instead of a frame. */
export const inDatabaseFile = 0;

/** The captured state of a closed database: all of it in its file, no log. */
export interface Resumed {
  readonly hashes: PageHashes;
  /** Stamp of the file at that time (`stampOf`). */
  readonly stamp: string;
}

/** Neighbouring pages that one call reads, in bytes. */
const runBytesMax = 256 * 1024;

interface BaseOptions {
  readonly database: TrackedDatabase;
  /** Read from the index after the pin began. */
  readonly to: WalIndex;
  readonly pageCount: number;
  readonly keepContents: boolean;
  readonly budget: EventLoopBudget;
}

/** Changes with every write. Writes within one tick of the file system's clock may share a stamp. */
export function stampOf({
  size,
  mtimeMs,
  ctimeMs,
}: {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}): string {
  return `${size} ${mtimeMs} ${ctimeMs}`;
}

/**
 * Reads the whole database. SQLite changes nothing of it while it is pinned, but a process that is still filling the
 * file does: if its stamp moved meanwhile (a checkpoint moves it too), the pages in the file are compared with those
 * just read. Undefined: they changed, so this is not a database yet.
 */
export async function readBase(options: BaseOptions): Promise<Changes | undefined> {
  const { database, to, pageCount, keepContents, budget } = options;
  const { dbFd } = database.files;
  const before = stampOf(fstatSync(dbFd));
  const frames = await locate(options, true);
  const contents = keepContents ? new Map<number, Uint8Array>() : undefined;
  const hashes = new PageHashes(database.pageSize);
  hashes.resize(pageCount, (page) => frames.has(page));
  await hashPages(database, frames, budget, (page, hash, content) => {
    hashes.set(page, hash);
    contents?.set(page, content);
  });
  if (
    stampOf(fstatSync(dbFd)) !== before &&
    !(await isStill(database, frames, budget, (page, hash) => hashes.isSame(page, hash)))
  )
    return undefined;
  // Overwritten since it was opened: SQLite still has the former size, and the two together are no database.
  if (
    to.nBackfill >= to.mxFrame &&
    frames.get(1) === inDatabaseFile &&
    claimsOtherSize(database.readPage(1, inDatabaseFile), pageCount, fstatSync(dbFd).size / database.pageSize)
  )
    return undefined;
  return { database, to, pageCount, frames, contents, hashes };
}

/**
 * Reads what changed since it was closed, in any way: by frames that are still in the log, or by others that were
 * copied into the file and are gone. Unchanged pages are not among the changes.
 *
 * The file need not be read if its stamp is unchanged: then no checkpoint copied anything into it, so no log was
 * restarted or removed, and every commit up to the pin is in the existing log, from its first frame on.
 */
export async function readSince({ hashes: known, stamp }: Resumed, options: BaseOptions): Promise<Changes | undefined> {
  const { database, to, pageCount, keepContents, budget } = options;
  const { dbFd } = database.files;
  const before = stampOf(fstatSync(dbFd));
  const located = await locate(options, before !== stamp);
  const contents = keepContents ? new Map<number, Uint8Array>() : undefined;
  const frames = new Map<number, number>();
  const hashes = new Map<number, Uint8Array>();
  await hashPages(database, located, budget, (page, hash, content) => {
    if (known.isSame(page, hash)) return;
    frames.set(page, located.get(page) ?? inDatabaseFile);
    hashes.set(page, hash);
    // A copy: the memory that it was read into has its neighbours too.
    contents?.set(page, content.slice());
  });
  const isRead = (page: number, hash: Uint8Array): boolean => {
    const changed = hashes.get(page);
    return changed === undefined ? known.isSame(page, hash) : Buffer.compare(changed, hash) === 0;
  };
  if (stampOf(fstatSync(dbFd)) !== before && !(await isStill(database, located, budget, isRead))) return undefined;
  return { database, to, pageCount, frames, located, contents, hashes };
}

/**
 * True if the header states another number of pages, validly (fileformat2.html, section 1.3.7: the counters at 24 and
 * 92 are equal). A header that states less is right if the file has all pages: it was grown in chunks
 * (SQLITE_FCNTL_CHUNK_SIZE), or has a rest at its end.
 */
export function claimsOtherSize(page1: Uint8Array, pageCount: number, pagesInFile: number): boolean {
  const header = new DataView(page1.buffer, page1.byteOffset, 100);
  const named = header.getUint32(28);
  if (named === 0 || header.getUint32(24) !== header.getUint32(92)) return false;
  return named > pageCount || (named < pageCount && pagesInFile < pageCount);
}

/** Reads and hashes the last content of each page. */
async function hashPages(
  database: TrackedDatabase,
  frames: ReadonlyMap<number, number>,
  budget: EventLoopBudget,
  visit: (page: number, hash: Uint8Array, content: Uint8Array) => void,
): Promise<void> {
  for (const { page, frame, count } of runsIn(frames, runBytesMax / database.pageSize)) {
    const read = database.readRun(page, frame, count);
    for (const [at, content] of read.entries()) visit(page + at, hashPage(page + at, content), content);
    await budget.yieldIfDue();
  }
}

/** Neighbouring pages, in neighbouring frames or in the database file, in the order of the map. */
function* runsIn(
  frames: ReadonlyMap<number, number>,
  pagesMax: number,
): Generator<{ readonly page: number; readonly frame: number; readonly count: number }> {
  let run: { readonly page: number; readonly frame: number; count: number } | undefined;
  for (const [page, frame] of frames) {
    const next = run?.frame === inDatabaseFile ? inDatabaseFile : (run?.frame ?? 0) + (run?.count ?? 0);
    if (run !== undefined && run.count < pagesMax && page === run.page + run.count && frame === next) {
      run.count += 1;
      continue;
    }
    if (run !== undefined) yield run;
    run = { page, frame, count: 1 };
  }
  if (run !== undefined) yield run;
}

/** Finds the last content of each page; pages without content are left out. Without the file: only pages in the log. */
async function locate(
  { database, to, pageCount, budget }: BaseOptions,
  withFile: boolean,
): Promise<Map<number, number>> {
  const { name, pageSize, files } = database;
  const frames = new Map<number, number>();
  // If everything is backfilled the file alone is the state, and the frames may be overwritten at any time.
  if (to.nBackfill < to.mxFrame) {
    const from = { salt1: to.salt1, salt2: to.salt2, mxFrame: 0, checksum1: 0, checksum2: 0 };
    await readFrames({ name, walFd: files.walFd, from, to }, budget, (page, frame) => void frames.set(page, frame));
  }
  for (const page of frames.keys()) if (page > pageCount) frames.delete(page);
  const inFile = withFile ? Math.floor(fstatSync(files.dbFd).size / pageSize) : 0;
  for (let page = 1; page <= Math.min(pageCount, inFile); page++) {
    if (!frames.has(page) && page !== lockPage(pageSize)) frames.set(page, inDatabaseFile);
  }
  return frames;
}

/** True if the pages in the database file equal those that were read. */
async function isStill(
  database: TrackedDatabase,
  frames: ReadonlyMap<number, number>,
  budget: EventLoopBudget,
  isRead: (page: number, hash: Uint8Array) => boolean,
): Promise<boolean> {
  let isSame = true;
  const inFile = new Map([...frames].filter(([, frame]) => frame === inDatabaseFile));
  await hashPages(database, inFile, budget, (page, hash) => (isSame &&= isRead(page, hash)));
  return isSame;
}
