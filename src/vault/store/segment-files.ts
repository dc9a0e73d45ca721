/**
 * The port of files that one writer fills from the front and others read meanwhile: what a segment log needs beside a
 * store (log/segment/segment-log.ts). Keys are those of a store, and the same store lists and deletes the files.
 *
 * Its premises, which a file system keeps where one kernel has the disk:
 * - a read that begins after a write has returned, by any process, sees it;
 * - a look-up that begins after a name was created, by any process, finds it.
 */
import { allRules, type Rules } from "../../core/rules.ts";

/** A write to a file, durable before the look, and the mark that follows if nothing was found. */
export interface Append {
  readonly key: string;
  /** Multiple of `blockBytes`, as is the length of all parts together. */
  readonly offset: number;
  /** In order: a record of some hundred kilobytes is not copied to stand behind its header. */
  readonly parts: readonly Uint8Array[];
  /** The object whose absence lets the write count. */
  readonly rival: string;
  readonly mark: { readonly key: string; readonly position: number };
}

/**
 * - `counts`: it was durable, and after that the rival was not there.
 * - `rival`: it is durable, and the rival is there: whether it counts is for others to say.
 * - `failed`: `isFileLost` if the file's pages must not be trusted any more, since a write or sync of it failed.
 */
export type AppendOutcome =
  | { readonly kind: "counts" }
  | { readonly kind: "rival" }
  | { readonly kind: "failed"; readonly isFileLost: boolean; readonly error: unknown };

/** Writes are whole blocks: no two records share one, so a torn write damages no other record. */
export const blockBytes = 512;

/** Bytes that an append writes. */
export const appendedBytes = ({ parts }: Pick<Append, "parts">): number =>
  parts.reduce((sum, { length }) => sum + length, 0);

export interface SegmentFiles {
  /**
   * Creates a file of so many written zeros; durable when it resolves. A file that exists stays as it is. Throws
   * StoreError.
   */
  create(key: string, bytes: number): Promise<void>;

  /** Announces that a file of so many bytes is created soon. A hint, which never fails. */
  prepare(bytes: number): void;

  /** Returns up to `length` bytes at an offset; undefined: there is no such file. Throws StoreError. */
  read(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;

  /** One append of a file at a time (`appendInOrder` says in which order). Never rejects. */
  append(append: Append): Promise<AppendOutcome>;

  /** Stores a position, not durably: after a power failure it may be an earlier one or none. Throws StoreError. */
  mark(key: string, position: number): Promise<void>;

  /** Returns the position of a mark; undefined: there is none, or it is unreadable. Throws StoreError. */
  readMark(key: string): Promise<number | undefined>;

  /** Waits for what is in flight, and closes descriptors. */
  close(): Promise<void>;
}

/** The parts of an append, for `appendInOrder`. */
export interface AppendParts {
  write(append: Append): Promise<void>;
  sync(key: string): Promise<void>;
  /** Looks the name up again: the answer is not older than the call. */
  exists(key: string): Promise<boolean>;
  mark(key: string, position: number): Promise<void>;
}

/**
 * The order that the log's safety rests on (segment-log.ts): write, sync, and only then look. The mark is a hint for
 * readers: without it they see the record later, so a failure of it changes nothing.
 */
export async function appendInOrder(
  parts: AppendParts,
  append: Append,
  rules: Rules = allRules,
): Promise<AppendOutcome> {
  let isRival: boolean | undefined;
  try {
    if (!rules.has("segment-sync-before-look")) isRival = await parts.exists(append.rival);
    await parts.write(append);
    await parts.sync(append.key);
  } catch (error) {
    return { kind: "failed", isFileLost: true, error };
  }
  try {
    isRival ??= await parts.exists(append.rival);
  } catch (error) {
    return { kind: "failed", isFileLost: false, error };
  }
  if (isRival) return { kind: "rival" };
  await parts.mark(append.mark.key, append.mark.position).catch(() => undefined);
  return { kind: "counts" };
}
