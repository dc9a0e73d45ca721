/**
 * The records of terms: finds them in the segments, and says where a term has come to.
 *
 * Of two segments of a term, the later one applies from its first position on: the owner of the term begins a new one
 * where an append failed, since what the failed one holds there cannot be known.
 */
import type { Position } from "../../record.ts";
import type { SegmentFiles } from "../../store/segment-files.ts";
import { type Store, StoreError } from "../../store/store.ts";
import { RecentEntries } from "./recent-entries.ts";
import { decodeEntryHeader, type Entry, entryHeaderBytes, sealTag, tagOf } from "./segment-entry.ts";
import { claimKey, markKey, parseSegmentKey, segmentKey, type SegmentName, segmentPrefix } from "./segment-key.ts";
import { SegmentView } from "./segment-view.ts";
import type { LogTerm, Terms } from "./terms.ts";

/** A segment, and the last position in it that can apply. */
export interface SegmentSpan {
  readonly name: SegmentName;
  readonly view: SegmentView;
  /** Infinity: it is the newest of a term that may grow. */
  readonly last: Position;
}

export class TermRecords {
  readonly #store: Store;
  readonly #files: SegmentFiles;
  readonly #terms: Terms;
  readonly #recent = new RecentEntries();
  readonly #views = new Map<string, SegmentView>();
  readonly #tags = new Map<number, number>();
  /** As listed last, in order. */
  #names: readonly SegmentName[] = [];
  /** Of terms that may grow: the last position that was told to count. Marks may go back. */
  readonly #counted = new Map<number, Position>();

  constructor(store: Store, files: SegmentFiles, terms: Terms) {
    this.#store = store;
    this.#files = files;
    this.#terms = terms;
  }

  /** Returns the segments of a term, in order; `list`: those that exist now. Throws StoreError. */
  async spans(term: LogTerm, { list }: { readonly list: boolean } = { list: true }): Promise<SegmentSpan[]> {
    const all = list ? await this.#list() : this.#names;
    const names = all.filter((name) => name.term === term.number);
    const tag = await this.tagOf(term.number);
    return names.map((name, index) => ({
      name,
      view: this.#view(name, tag),
      last: Math.min((names[index + 1]?.first ?? Infinity) - 1, term.end ?? Infinity),
    }));
  }

  /** Returns the tag of a term's entries. Throws StoreError. */
  async tagOf(number: number): Promise<number> {
    const known = this.#tags.get(number);
    if (known !== undefined) return known;
    const claim = await this.#store.get(claimKey(number));
    if (claim === undefined)
      throw new StoreError("unavailable", `claim ${number} is gone`, "Run `stead vault verify` if this persists.");
    const tag = tagOf(claim);
    this.#tags.set(number, tag);
    return tag;
  }

  /** Returns the entry of a position that applies; undefined: it is not there (removed, or not written). */
  async get(term: LogTerm, position: Position): Promise<Entry | undefined> {
    const known = await spanOf(await this.spans(term, { list: false }), position)?.view.get(position);
    if (known?.header !== undefined) return known;
    const span = spanOf(await this.spans(term), position);
    // Removed, and so is a copy of it.
    if (span === undefined) return undefined;
    const found = await span.view.get(position);
    if (found?.header !== undefined || term.carried?.position !== position) return found;
    const entry = (await this.#terms.seal(term.carried.seal))?.last;
    return (entry === undefined ? undefined : decodeCarried(entry)) ?? found;
  }

  /** True if each record that applies can be read in the segment now. Throws StoreError. */
  async isReadable(term: LogTerm, { name, last }: SegmentSpan): Promise<boolean> {
    const view = new SegmentView(this.#files, name, await this.tagOf(name.term));
    await view.extend(last);
    const isCarried = (position: Position): boolean => position === term.carried?.position;
    if (![...view.damaged].every(isCarried)) return false;
    return view.last >= last || (view.last === last - 1 && isCarried(last));
  }

  /**
   * Returns the last position of a term that may grow which is known to count: by its owner's mark, or, without one
   * (the power failed), since another record follows it. Never goes back. Throws StoreError.
   */
  async counted(term: LogTerm): Promise<Position> {
    const told = (await this.#files.readMark(markKey(term.number))) ?? (await this.written(term)) - 1;
    const counted = Math.max(told, term.start, this.#counted.get(term.number) ?? 0);
    this.#counted.set(term.number, counted);
    return counted;
  }

  /** Returns the last position with a whole entry, whether or not it counts. Throws StoreError. */
  async written(term: LogTerm): Promise<Position> {
    const spans = await this.spans(term);
    for (const { view } of spans) await view.extend();
    return Math.max(term.start, term.carried?.position ?? 0, spans.at(-1)?.view.last ?? 0);
  }

  #view(name: SegmentName, tag: number): SegmentView {
    const key = segmentKey(name);
    const view = this.#views.get(key) ?? new SegmentView(this.#files, name, tag, this.#recent);
    this.#views.set(key, view);
    return view;
  }

  async #list(): Promise<readonly SegmentName[]> {
    const names = (await this.#store.list(segmentPrefix)).map(parseSegmentKey).filter((name) => name !== undefined);
    names.sort((a, b) => a.term - b.term || a.first - b.first || a.attempt - b.attempt);
    this.#names = names;
    const keys = new Set(names.map(segmentKey));
    for (const key of this.#views.keys()) if (!keys.has(key)) this.#views.delete(key);
    return names;
  }
}

function spanOf(spans: readonly SegmentSpan[], position: Position): SegmentSpan | undefined {
  const span = spans.findLast(({ name }) => name.first <= position);
  return span !== undefined && position <= span.last ? span : undefined;
}

function decodeCarried(entry: Uint8Array): Entry | undefined {
  const header = decodeEntryHeader(entry, sealTag);
  return header === undefined
    ? undefined
    : { header, content: entry.slice(entryHeaderBytes, entryHeaderBytes + header.contentBytes) };
}
