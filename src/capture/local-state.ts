/**
 * The committed state of database files that no process has open: the file and the `-wal` of a process that is gone.
 *
 * Reads as SQLite's own recovery does (the longest chain of valid frames up to the last commit), without a connection
 * and without changing anything, so that the host can prove whether the data on the disk is in the journal. Never call
 * it for a file that this process has connections to (POSIX locks).
 */
import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import type { DatabaseChecksum } from "../core/delta.ts";
import { type FilePath, withSuffix } from "./data-path.ts";
import { Discovery } from "./discovery.ts";
import { readChunkBytes } from "./limits.ts";
import { hashPage, lockPage, PageHashes } from "./page-hashes.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import { frameBytes, frameHeaderBytes, frameOffset, parseWalHeader, takeFrame, walHeaderBytes } from "./wal-frames.ts";
import { readFully } from "./wal-reader.ts";

export type LocalState =
  | {
      readonly kind: "state";
      readonly pageSize: number;
      readonly pageCount: number;
      readonly checksum: DatabaseChecksum;
      readonly hashes: PageHashes;
    }
  /** No file, or an empty one. */
  | { readonly kind: "absent" }
  /** Not provable from outside, with the reason. */
  | { readonly kind: "unknown"; readonly reason: string };

/** The committed frames of a WAL: page -> last frame. */
interface CommittedFrames {
  readonly frames: ReadonlyMap<number, number>;
  readonly pageCount: number;
}

/** Returns the content of the files at `path`. */
export async function verifyLocalState(path: FilePath): Promise<LocalState> {
  if (!existsSync(path)) return { kind: "absent" };
  if (existsSync(withSuffix(path, "-journal")))
    return { kind: "unknown", reason: "there is a rollback journal beside it" };
  const dbFd = openSync(path, "r");
  const walFd = existsSync(withSuffix(path, "-wal")) ? openSync(withSuffix(path, "-wal"), "r") : undefined;
  try {
    return await readState(dbFd, walFd);
  } finally {
    closeSync(dbFd);
    if (walFd !== undefined) closeSync(walFd);
  }
}

/** Returns the databases below a folder, for the host's check of what an earlier run left. */
export function localDatabases(
  patterns: readonly string[],
  except: readonly string[] = [],
  excluded?: () => ReadonlySet<string>,
): {
  find(root: string): Promise<string[]>;
  committedChecksum(path: FilePath): Promise<DatabaseChecksum | undefined>;
} {
  return {
    find(root) {
      return Promise.resolve(existsSync(root) ? Discovery.namesIn(root, patterns, except, excluded) : []);
    },
    async committedChecksum(path) {
      const state = await verifyLocalState(path);
      return state.kind === "state" ? state.checksum : undefined;
    },
  };
}

async function readState(dbFd: number, walFd: number | undefined): Promise<LocalState> {
  const size = fstatSync(dbFd).size;
  const header = new Uint8Array(100);
  const headerBytes = readFully(dbFd, header, 0);
  const inFile = headerBytes === 100 ? headerPages(header, size) : undefined;
  const log = walFd === undefined ? undefined : await readLog(walFd, inFile?.pageSize);
  if (inFile === undefined && log === undefined) {
    return size === 0
      ? { kind: "absent" }
      : { kind: "unknown", reason: "the header is not that of an SQLite database" };
  }
  const pageSize = log?.pageSize ?? inFile?.pageSize ?? 0;
  const pageCount = log?.pageCount ?? inFile?.pageCount ?? 0;
  const hashes = new PageHashes(pageSize);
  hashes.resize(pageCount, () => true);
  const budget = new EventLoopBudget();
  for (let page = 1; page <= pageCount; page++) {
    hashes.set(page, hashPage(page, readPage(page, pageSize, log?.frames.get(page), dbFd, walFd)));
    if (page % 64 === 0) await budget.yieldIfDue();
  }
  return { kind: "state", pageSize, pageCount, checksum: hashes.checksum(), hashes };
}

function readPage(
  page: number,
  pageSize: number,
  frame: number | undefined,
  dbFd: number,
  walFd: number | undefined,
): Uint8Array {
  const content = new Uint8Array(pageSize);
  if (page === lockPage(pageSize)) return content;
  if (frame !== undefined && walFd !== undefined)
    readFully(walFd, content, frameOffset(frame, pageSize) + frameHeaderBytes);
  else readFully(dbFd, content, (page - 1) * pageSize);
  return content;
}

/** Page size and count as the file itself says (https://www.sqlite.org/fileformat.html, section 1.3.7). */
function headerPages(header: Uint8Array, size: number): { pageSize: number; pageCount: number } | undefined {
  const view = new DataView(header.buffer);
  if (Buffer.from(header.buffer, 0, 16).toString("latin1") !== "SQLite format 3\0") return undefined;
  const field = view.getUint16(16);
  const pageSize = field === 1 ? 65_536 : field;
  if (pageSize < 512 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  const isCountValid = view.getUint32(24) === view.getUint32(92) && view.getUint32(28) > 0;
  return { pageSize, pageCount: isCountValid ? view.getUint32(28) : Math.floor(size / pageSize) };
}

async function readLog(
  walFd: number,
  pageSizeInFile: number | undefined,
): Promise<(CommittedFrames & { pageSize: number }) | undefined> {
  const bytes = new Uint8Array(walHeaderBytes);
  const header = readFully(walFd, bytes, 0) === walHeaderBytes ? parseWalHeader(bytes) : undefined;
  if (header === undefined) return undefined;
  if (pageSizeInFile !== undefined && pageSizeInFile !== header.pageSize) return undefined;
  const sum = { ...header.checksum };
  const size = frameBytes(header.pageSize);
  const frames = new Map<number, number>();
  let pending: [number, number][] = [];
  let pageCount = 0;
  const budget = new EventLoopBudget();
  const perChunk = Math.max(1, Math.floor(readChunkBytes / size));
  const chunk = new Uint8Array(perChunk * size);
  for (let first = 1; ; first += perChunk) {
    const count = Math.floor(readFully(walFd, chunk, frameOffset(first, header.pageSize)) / size);
    for (let i = 0; i < count; i++) {
      const frame = takeFrame(chunk, i * size, header, sum);
      if (frame === undefined) return pageCount === 0 ? undefined : { frames, pageCount, pageSize: header.pageSize };
      pending.push([frame.page, first + i]);
      if (frame.commitPageCount === 0) continue;
      for (const [page, at] of pending) frames.set(page, at);
      pending = [];
      pageCount = frame.commitPageCount;
    }
    if (count < perChunk) return pageCount === 0 ? undefined : { frames, pageCount, pageSize: header.pageSize };
    await budget.yieldIfDue();
  }
}
