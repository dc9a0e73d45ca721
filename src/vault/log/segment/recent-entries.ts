/** Entries that were found while a segment was searched, for the readers that ask for them next. Bounded in bytes. */
import type { Position } from "../../record.ts";
import type { Entry } from "./segment-entry.ts";

const bytesMax = 4 * 1024 * 1024;

export class RecentEntries {
  /** By segment and position, oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  get(segment: string, position: Position): Entry | undefined {
    return this.#entries.get(keyOf(segment, position));
  }

  add(segment: string, position: Position, entry: Entry): void {
    this.#forget(keyOf(segment, position));
    this.#entries.set(keyOf(segment, position), entry);
    this.#bytes += entry.content.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= bytesMax) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#entries.get(key)?.content.length ?? 0;
    this.#entries.delete(key);
  }
}

const keyOf = (segment: string, position: Position): string => `${segment} ${position}`;
