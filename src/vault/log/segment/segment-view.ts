/**
 * The entries of one segment, found from the front and remembered by their offsets.
 *
 * The end is where no whole entry of the next position begins, and none of a later position follows: nothing (zeros),
 * or an entry that its owner had not written whole when it ended. An entry that is not whole and has another behind it
 * is damage: it keeps its position, and its bytes are returned as they are, for the record's own hashes to refuse.
 */
import type { Position } from "../../record.ts";
import { blockBytes, type SegmentFiles } from "../../store/segment-files.ts";
import { RecentEntries } from "./recent-entries.ts";
import { decodeEntryHeader, entryBytes, type Entry, entryHeaderBytes, isWhole } from "./segment-entry.ts";
import { segmentKey, type SegmentName } from "./segment-key.ts";

const windowBytesMin = 4 * 1024;
const windowBytesMax = 1024 * 1024;

export class SegmentView {
  readonly name: SegmentName;
  readonly #files: SegmentFiles;
  readonly #tag: number;
  /** Of the entries from `name.first` on. */
  readonly #offsets: number[] = [];
  /** Where the next entry is looked for. */
  #end = 0;
  /** Searches run one after the other, since each continues where the one before has ended. */
  #search: Promise<unknown> = Promise.resolve();
  readonly #unreadable = new Set<Position>();
  readonly #recent: RecentEntries;

  constructor(files: SegmentFiles, name: SegmentName, tag: number, recent = new RecentEntries()) {
    this.#files = files;
    this.name = name;
    this.#tag = tag;
    this.#recent = recent;
  }

  /** Position of the last entry found so far; that before the first if there is none. */
  get last(): Position {
    return this.name.first + this.#offsets.length - 1;
  }

  /** Positions of the entries found so far that cannot be read. */
  get damaged(): ReadonlySet<Position> {
    return this.#unreadable;
  }

  /** Looks for more entries, up to a position. Throws StoreError. */
  extend(upTo: Position = Infinity): Promise<void> {
    const search = this.#search.then(() => this.#extendTo(upTo));
    this.#search = search.catch(() => undefined);
    return search;
  }

  async #extendTo(upTo: Position): Promise<void> {
    const window = new Window(this.#files, segmentKey(this.name));
    while (this.last < upTo) {
      const found = await this.#entryAt(window, this.#end, this.last + 1);
      if (found === undefined) return;
      this.#recent.add(segmentKey(this.name), this.last + 1, found.entry);
      if (found.entry.header === undefined) this.#unreadable.add(this.last + 1);
      this.#offsets.push(this.#end);
      this.#end = found.next;
    }
  }

  /** Undefined: this segment does not have the position. Throws StoreError. */
  async get(position: Position): Promise<Entry | undefined> {
    if (position > this.last) await this.extend(position);
    const recent = this.#recent.get(segmentKey(this.name), position);
    if (recent !== undefined) return recent;
    const offset = this.#offsets[position - this.name.first];
    if (offset === undefined) return undefined;
    const window = new Window(this.#files, segmentKey(this.name));
    const end = this.#offsets[position - this.name.first + 1] ?? this.#end;
    return (await this.#entryAt(window, offset, position))?.entry ?? this.#damaged(window, offset, end);
  }

  async #entryAt(
    window: Window,
    offset: number,
    position: Position,
  ): Promise<{ readonly entry: Entry; readonly next: number } | undefined> {
    const header = decodeEntryHeader(await window.read(offset, entryHeaderBytes), this.#tag);
    if (header?.position === position) {
      const content = await window.read(offset + entryHeaderBytes, header.contentBytes);
      const next = offset + entryBytes(header.contentBytes);
      if (isWhole(header, content)) return { entry: { header, content }, next };
    }
    const next = await this.#nextEntry(window, offset, position);
    return next === undefined ? undefined : { entry: await this.#damaged(window, offset, next), next };
  }

  async #damaged(window: Window, offset: number, end: number): Promise<Entry> {
    return { header: undefined, content: await window.read(offset, end - offset) };
  }

  /** Returns the offset of the entry of the position after a damaged one; undefined: there is none. */
  async #nextEntry(window: Window, offset: number, position: Position): Promise<number | undefined> {
    for (let at = offset + blockBytes; ; at += blockBytes) {
      const block = await window.read(at, entryHeaderBytes);
      if (block.length === 0) return undefined;
      if (decodeEntryHeader(block, this.#tag)?.position === position + 1) return at;
    }
  }
}

/** Reads ahead within one search, further the longer it takes; not kept beyond it, since the file grows. */
class Window {
  readonly #files: SegmentFiles;
  readonly #key: string;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array();
  #ahead = windowBytesMin;

  constructor(files: SegmentFiles, key: string) {
    this.#files = files;
    this.#key = key;
  }

  /** Returns fewer bytes at the end of the file. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const isIn = offset >= this.#start && offset + length <= this.#start + this.#bytes.length;
    if (!isIn) {
      this.#bytes = (await this.#files.read(this.#key, offset, Math.max(length, this.#ahead))) ?? new Uint8Array();
      this.#start = offset;
      this.#ahead = Math.min(this.#ahead * 2, windowBytesMax);
    }
    return this.#bytes.subarray(offset - this.#start, offset - this.#start + length);
  }
}
