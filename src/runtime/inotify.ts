/**
 * Linux's inotify(7), read without waiting: what happened to the entries of watched folders until now.
 *
 * The kernel queues an event in the system call that causes it, before that returns to its process (fsnotify_modify in
 * vfs_write, fsnotify_create in the open). So a process that has heard of a write in any way sees its event in the next
 * `read`. `fs.watch` is no substitute: it reads in another thread, and tells when the event loop comes to it.
 *
 * Not told: writes through a mapping (mmap), and writes through another name of the file (a hard link) in a folder that
 * is not watched.
 */
import { openLibc } from "./libc.ts";

const create = { IN_NONBLOCK: 0o4000, IN_CLOEXEC: 0o2000000 };

/** `unmounted`, `ignored`: the folder is gone, and not watched any more. */
export const inotifyEvents = {
  modify: 0x2,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  unmounted: 0x2000,
  ignored: 0x8000,
} as const;
/** All of them, of folders only (IN_ONLYDIR). The last two come unasked. */
const wanted = 0xfc2 | 0x0100_0000;
const overflowed = 0x4000;
/** EAGAIN on Linux. */
const tryAgain = 11;

const bufferBytes = 64 * 1024;
const headBytes = 16;
/** One event with the longest name. */
const eventBytesMax = headBytes + 256;

export interface InotifyEvent {
  /** As `watch` returned it. */
  readonly folder: number;
  readonly mask: number;
  /** The folder's entry, one character for each byte; empty for the folder itself. */
  readonly entry: string;
}

interface Calls {
  init(flags: number): number;
  add(fd: number, path: Uint8Array, mask: number): number;
  /** Reads into the bytes for which the call was made. 0: nothing is there; below: it failed. */
  read(fd: number): number;
  close(fd: number): number;
}

export class Inotify {
  readonly #calls: Calls;
  readonly #fd: number;
  readonly #bytes: Buffer;
  readonly #words: Int32Array;

  private constructor(calls: Calls, fd: number, bytes: Buffer) {
    this.#calls = calls;
    this.#fd = fd;
    this.#bytes = bytes;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bufferBytes / 4);
  }

  /** A text instead: why there is none here. */
  static async open(): Promise<Inotify | string> {
    // Memory of its own: what the kernel writes into must not be moved.
    const bytes = Buffer.from(new ArrayBuffer(bufferBytes));
    const calls = await loadCalls(bytes);
    if (typeof calls === "string") return calls;
    const fd = calls.init(create.IN_NONBLOCK | create.IN_CLOEXEC);
    return fd < 0 ? "no inotify instance is available (fs.inotify.max_user_instances)" : new Inotify(calls, fd, bytes);
  }

  /**
   * The number of the folder, the same for the same folder; undefined: it cannot be watched
   * (fs.inotify.max_user_watches), or is gone.
   */
  watch(path: string | Uint8Array): number | undefined {
    const number = this.#calls.add(this.#fd, Buffer.concat([Buffer.from(path), Buffer.of(0)]), wanted);
    return number < 0 ? undefined : number;
  }

  /**
   * Visits all that happened until now, each event once; a fifth of a microsecond when there is nothing. True: some of
   * it was dropped, so anything may have happened.
   */
  read(visit: (event: InotifyEvent) => void): boolean {
    let isIncomplete = false;
    for (;;) {
      const count = this.#calls.read(this.#fd);
      // After an error anything may have happened.
      if (count <= 0) return isIncomplete || count < 0;
      for (let at = 0; at < count; ) {
        const word = at / 4;
        const [folder = 0, mask = 0, , length = 0] = this.#words.subarray(word, word + 4);
        if ((mask & overflowed) !== 0) isIncomplete = true;
        else visit({ folder, mask, entry: this.#textAt(at + headBytes, length) });
        at += headBytes + length;
      }
      // There was room for one more: the queue was empty.
      if (count + eventBytesMax <= bufferBytes) return isIncomplete;
    }
  }

  close(): void {
    this.#calls.close(this.#fd);
  }

  #textAt(start: number, length: number): string {
    if (length === 0) return "";
    const end = this.#bytes.indexOf(0, start);
    return this.#bytes.toString("latin1", start, end < 0 || end > start + length ? start + length : end);
  }
}

async function loadCalls(bytes: Buffer): Promise<Calls | string> {
  const libc = await openLibc({
    inotify_init1: { args: ["i32"], returns: "i32" },
    inotify_add_watch: { args: ["i32", "ptr", "u32"], returns: "i32" },
    read: { args: ["i32", "ptr", "u64"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  });
  if (typeof libc === "string") return libc;
  const { symbols, errno } = libc;
  const into = libc.addressOf(bytes);
  return {
    init: (flags) => symbols.inotify_init1(flags),
    add: (fd, path, mask) => symbols.inotify_add_watch(fd, path, mask),
    read: (fd) => {
      const count = symbols.read(fd, into, bufferBytes);
      return count >= 0 ? count : errno() === tryAgain ? 0 : -1;
    },
    close: (fd) => symbols.close(fd),
  };
}
