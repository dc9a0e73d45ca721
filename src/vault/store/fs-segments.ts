/**
 * Segment files in the folder of a vault. A thread makes the appends (job-thread.ts): write, sync, look and mark are
 * one job, so a commit costs one wake-up. Where the thread is busy, starting or gone, the pool makes the same calls in
 * the same order (`appendInOrder`).
 *
 * A new file is put by the store like any object: zeros that are written and synced before the name appears. So a
 * commit changes no metadata, and an append never runs out of space. The next one is written ahead.
 *
 * The look opens the folder and then the name, which costs microseconds and makes a client of a network file system ask
 * its server; such file systems are refused nevertheless (open-log.ts).
 */
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import type { StagedBytes } from "../../core/delta.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import { type FsCalls, O_CAREFUL, O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, systemCalls } from "./fs-calls.ts";
import { StrangeObjectError } from "../errors.ts";
import { objectBytesMax } from "../limits.ts";
import { errnoOf, storeErrorOf } from "./fs-error.ts";
import { hasJobThreads, type JobContext, JobThread } from "./job-thread.ts";
import { assertSize, isStrangeFile } from "./object-size.ts";
import {
  type Append,
  appendInOrder,
  type AppendOutcome,
  type AppendParts,
  appendedBytes,
  blockBytes,
  type SegmentFiles,
} from "./segment-files.ts";
import type { Store } from "./store.ts";

/** Of one append by the thread, bytes, without its mark: as much as a record in a segment has. */
const threadAppendBytesMax = 1024 * 1024 + 4 * blockBytes;
/** Files that are kept open. */
const openMax = 16;

export interface FsSegmentsOptions {
  /** Absolute path of the vault's folder. */
  readonly folder: string;
  /** In the same folder: creates the files, and deletes them. */
  readonly store: Store;
  /** For tests. No thread makes appends then. */
  readonly calls?: FsCalls;
}

interface OpenFile {
  readonly fd: number;
  users: number;
  isRetired: boolean;
}

/** Zeros of the next file, which are written while it is not needed. */
interface Ahead {
  readonly zeros: Uint8Array;
  readonly staged: Promise<StagedBytes | undefined>;
}

export class FsSegments implements SegmentFiles, AppendParts {
  readonly #folder: string;
  readonly #store: Store;
  readonly #calls: FsCalls;
  readonly #thread: JobThread | undefined;
  readonly #work = new BackgroundTasks();
  /** In the order of their last use. */
  readonly #open = new Map<string, OpenFile>();
  #ahead: Ahead | undefined;
  #isClosed = false;

  constructor({ folder, store, calls }: FsSegmentsOptions) {
    this.#folder = folder;
    this.#store = store;
    this.#calls = calls ?? systemCalls;
    this.#thread =
      calls === undefined && hasJobThreads
        ? new JobThread(appendInThread, markBytes + threadAppendBytesMax)
        : undefined;
  }

  async create(key: string, bytes: number): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const staged = ahead?.zeros.length === bytes ? await ahead.staged : undefined;
    const zeros = staged === undefined ? zerosOf(bytes) : (ahead?.zeros ?? zerosOf(bytes));
    if (staged !== undefined) this.#store.prepare(key, zeros, { staged, headBytes: 0 });
    else if (ahead !== undefined) this.#releaseAhead(ahead);
    await this.#store.putIfAbsent(key, zeros);
  }

  prepare(bytes: number): void {
    if (this.#isClosed || this.#ahead?.zeros.length === bytes) return;
    if (this.#ahead !== undefined) this.#releaseAhead(this.#ahead);
    const zeros = zerosOf(bytes);
    this.#ahead = { zeros, staged: this.#store.stage(zeros).catch(() => undefined) };
  }

  async read(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#use(key, O_RDWR, async (fd) => {
        const size = await this.#calls.sizeOfFile(fd);
        assertSize(key, size, objectBytesMax);
        const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
        return bytes.subarray(0, await this.#calls.readAt(fd, bytes, offset));
      });
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOENT") return undefined;
      if (isStrangeFile(code)) assertSize(key, undefined, objectBytesMax);
      if (error instanceof StrangeObjectError) throw error;
      throw storeErrorOf(error, `cannot read ${key} in ${this.#store.url}`, "before");
    }
  }

  async append(append: Append): Promise<AppendOutcome> {
    const canMark = await this.#use(append.mark.key, O_RDWR | O_CREAT, async () => true).catch(() => false);
    // Without a mark the pool appends: a mark is a hint, and its failure no failure of the append.
    if (!canMark || this.#thread?.isFree(markBytes + appendedBytes(append)) !== true)
      return appendInOrder(this, append);
    try {
      return await this.#use(append.key, O_RDWR, (fd) =>
        this.#use(append.mark.key, O_RDWR | O_CREAT, (markFd) =>
          this.#appendByThread(this.#thread, [fd, markFd], append),
        ),
      );
    } catch (error) {
      return { kind: "failed", isFileLost: true, error };
    }
  }

  async write({ key, offset, parts }: Append): Promise<void> {
    await this.#use(key, O_RDWR, (fd) => this.#calls.writeAt(fd, Buffer.concat(parts), offset));
  }

  async sync(key: string): Promise<void> {
    await this.#use(key, O_RDWR, (fd) => this.#calls.fdatasync(fd));
  }

  async exists(key: string): Promise<boolean> {
    const path = join(this.#folder, key);
    await this.#calls.close(await this.#calls.open(dirname(path), O_RDONLY | O_DIRECTORY));
    try {
      await this.#calls.close(await this.#calls.open(path, O_RDONLY | O_CAREFUL));
      return true;
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOENT") return false;
      if (isStrangeFile(code)) return true;
      throw error;
    }
  }

  async mark(key: string, position: number): Promise<void> {
    try {
      await this.#use(key, O_RDWR | O_CREAT, (fd) => this.#calls.writeAt(fd, encodeMark(position), 0));
    } catch (error) {
      throw storeErrorOf(error, `cannot write ${key} in ${this.#store.url}`, "visible");
    }
  }

  async readMark(key: string): Promise<number | undefined> {
    const bytes = await this.read(key, 0, markBytes);
    return bytes === undefined ? undefined : decodeMark(bytes);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#ahead !== undefined) this.#releaseAhead(this.#ahead);
    await this.#thread?.close();
    for (const key of [...this.#open.keys()]) this.#forget(key);
    await this.#work.settled();
  }

  async #appendByThread(
    thread: JobThread | undefined,
    [fd, markFd]: readonly [number, number],
    { key, offset, parts, rival, mark }: Append,
  ): Promise<AppendOutcome> {
    const path = join(this.#folder, rival);
    const [texts, content] = [
      [dirname(path), path],
      [encodeMark(mark.position), ...parts],
    ];
    const reply = await thread?.run({ numbers: [fd, markFd, offset], texts, content });
    if (reply?.kind === "done") return { kind: reply.result === "rival" ? "rival" : "counts" };
    const isFileLost = reply?.at !== "look";
    if (isFileLost) this.#forget(key);
    return { kind: "failed", isFileLost, error: reply?.error };
  }

  /** Keeps the file open for the next use. */
  async #use<T>(key: string, flags: number, use: (fd: number) => Promise<T>): Promise<T> {
    const file = this.#open.get(key) ?? (await this.#keep(key, flags));
    this.#open.delete(key);
    this.#open.set(key, file);
    file.users += 1;
    try {
      return await use(file.fd);
    } finally {
      file.users -= 1;
      if (file.isRetired && file.users === 0) this.#work.own(this.#calls.close(file.fd));
    }
  }

  async #keep(key: string, flags: number): Promise<OpenFile> {
    const fd = await this.#openFile(join(this.#folder, key), flags);
    const known = this.#open.get(key);
    if (known !== undefined) {
      this.#work.own(this.#calls.close(fd));
      return known;
    }
    const file = { fd, users: 0, isRetired: false };
    this.#open.set(key, file);
    const [oldest] = this.#open.keys();
    if (this.#open.size > openMax && oldest !== undefined) this.#forget(oldest);
    return file;
  }

  /** Makes the folder of a file that is created, if only that is missing. */
  async #openFile(path: string, flags: number): Promise<number> {
    try {
      return await this.#calls.open(path, flags | O_CAREFUL, 0o644);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || (flags & O_CREAT) === 0) throw error;
      await this.#calls.mkdir(dirname(path)).catch(() => undefined);
      return this.#calls.open(path, flags | O_CAREFUL, 0o644);
    }
  }

  #forget(key: string): void {
    const file = this.#open.get(key);
    if (file === undefined) return;
    this.#open.delete(key);
    file.isRetired = true;
    if (file.users === 0) this.#work.own(this.#calls.close(file.fd));
  }

  #releaseAhead({ staged }: Ahead): void {
    this.#work.own(staged.then((bytes) => bytes?.drop()));
  }
}

/** Read and never written: its pages stay those of the kernel's one page of zeros. */
let allZeros = new Uint8Array(0);

function zerosOf(bytes: number): Uint8Array {
  if (allZeros.length < bytes) allZeros = new Uint8Array(bytes);
  return allZeros.subarray(0, bytes);
}

/** A mark: the position, u64, and the CRC-32 of it. */
const markBytes = 12;

function encodeMark(position: number): Buffer {
  const bytes = Buffer.alloc(markBytes);
  bytes.writeBigUInt64LE(BigInt(position), 0);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8);
  return bytes;
}

function decodeMark(found: Uint8Array): number | undefined {
  const bytes = Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  if (bytes.length < markBytes || bytes.readUInt32LE(8) !== crc32(bytes.subarray(0, 8))) return undefined;
  return Number(bytes.readBigUInt64LE(0));
}

/** Runs in the thread: the order of `appendInOrder`. The content begins with the 12 bytes of the mark. */
function appendInThread({ fs, numbers, texts, content, at }: JobContext): string {
  const [fd = -1, markFd = -1, start = 0] = numbers;
  const [folder = "", rival = ""] = texts;
  at("write");
  for (let count = 12; count < content.length; ) {
    const written = fs.writeSync(fd, content, count, content.length - count, start + count - 12);
    if (written === 0) throw Object.assign(new Error("wrote nothing"), { code: "EIO" });
    count += written;
  }
  fs.fdatasyncSync(fd);
  at("look");
  fs.closeSync(fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY));
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    fs.closeSync(fs.openSync(rival, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    return "rival";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ELOOP" || code === "ENXIO" || code === "ENODEV") return "rival";
    if (code !== "ENOENT") throw error;
  }
  try {
    fs.writeSync(markFd, content, 0, 12, 0);
  } catch {
    // A hint: readers see the record with the next one.
  }
  return "counts";
}
