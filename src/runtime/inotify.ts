/**
 * Linux's inotify(7), read without waiting: what has happened to the entries of watched folders until now.
 *
 * The kernel queues an event in the system call that causes it, before the call returns to its process (fsnotify_modify
 * in vfs_write, fsnotify_create in the open). A process that has learnt of a write in any way therefore sees its event
 * in the next `read`. `fs.watch` is no substitute: it reads in another thread and reports when the event loop gets to
 * it.
 *
 * Not reported: writes through a mapping (mmap), and writes through another name of the file (a hard link) in a folder
 * that is not watched.
 */
import { openLibc } from "./libc.ts";

const create = { IN_NONBLOCK: 0o4000, IN_CLOEXEC: 0o2000000 };

/** `unmounted`, `ignored`: the folder is gone and no longer watched. */
export const inotifyEvents = {
  modify: 0x2,
  attributes: 0x4,
  /** A file that was open for writing was closed. */
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  unmounted: 0x2000,
  ignored: 0x8000,
  /** With another one: the entry is a folder. */
  isFolder: 0x4000_0000,
} as const;
/** For folders only (IN_ONLYDIR), and none that a link leads to (IN_DONT_FOLLOW). */
const foldersOnly = 0x0100_0000;
const noLinks = 0x0200_0000;
/** What a `watch` asks for. `unmounted` and `ignored` come without being requested. */
const wanted = { entries: 0xfc2 | foldersOnly, everything: 0xfce | foldersOnly | noLinks } as const;
const overflowed = 0x4000;
/** EAGAIN on Linux. */
const tryAgain = 11;

const bufferBytes = 64 * 1024;
const headBytes = 16;
/** One event with the longest name. */
const eventBytesMax = headBytes + 256;

export interface InotifyEvent {
  /** The number that `watch` returned. */
  readonly folder: number;
  readonly mask: number;
  /** The folder's entry, one character per byte; empty for the folder itself. */
  readonly entry: string;
}

interface Calls {
  init(flags: number): number;
  add(fd: number, path: Uint8Array, mask: number): number;
  remove(fd: number, number: number): number;
  /** Reads into the buffer given at creation. Returns 0 if there is nothing, a negative number on failure. */
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

  /** Returns a text with the reason if it is not available here. */
  static async open(): Promise<Inotify | string> {
    // A separate ArrayBuffer: memory that the kernel writes to must not be moved.
    const bytes = Buffer.from(new ArrayBuffer(bufferBytes));
    const calls = await loadCalls(bytes);
    if (typeof calls === "string") return calls;
    const fd = calls.init(create.IN_NONBLOCK | create.IN_CLOEXEC);
    return fd < 0 ? "no inotify instance is available (fs.inotify.max_user_instances)" : new Inotify(calls, fd, bytes);
  }

  /**
   * Returns the number of the folder, the same for the same folder; undefined if it cannot be watched
   * (fs.inotify.max_user_watches), or is gone. `everything`: also changed attributes and files closed after writing;
   * not through a link.
   */
  watch(path: string | Uint8Array, what: keyof typeof wanted = "entries"): number | undefined {
    const number = this.#calls.add(this.#fd, Buffer.concat([Buffer.from(path), Buffer.of(0)]), wanted[what]);
    return number < 0 ? undefined : number;
  }

  /** The folder's events end; those that are queued still come, and `ignored` after them. */
  unwatch(number: number): void {
    this.#calls.remove(this.#fd, number);
  }

  /**
   * Visits all events until now, each once; takes a fifth of a microsecond if there are none. Returns true if events
   * were dropped, so that anything may have happened.
   */
  read(visit: (event: InotifyEvent) => void): boolean {
    let isIncomplete = false;
    for (;;) {
      const count = this.#calls.read(this.#fd);
      // After an error, anything may have happened.
      if (count <= 0) return isIncomplete || count < 0;
      for (let at = 0; at < count; ) {
        const word = at / 4;
        const [folder = 0, mask = 0, , length = 0] = this.#words.subarray(word, word + 4);
        if ((mask & overflowed) !== 0) isIncomplete = true;
        else visit({ folder, mask, entry: this.#textAt(at + headBytes, length) });
        at += headBytes + length;
      }
      // There was room for one more event, so the queue was empty.
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
    inotify_rm_watch: { args: ["i32", "i32"], returns: "i32" },
    read: { args: ["i32", "ptr", "u64"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  });
  if (typeof libc === "string") return libc;
  const { symbols, errno } = libc;
  const into = libc.addressOf(bytes);
  return {
    init: (flags) => symbols.inotify_init1(flags),
    add: (fd, path, mask) => symbols.inotify_add_watch(fd, path, mask),
    remove: (fd, number) => symbols.inotify_rm_watch(fd, number),
    read: (fd) => {
      const count = symbols.read(fd, into, bufferBytes);
      return count >= 0 ? count : errno() === tryAgain ? 0 : -1;
    },
    close: (fd) => symbols.close(fd),
  };
}
