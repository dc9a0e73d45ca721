/**
 * Decides which of the parts that were staged ahead of a commit are put for it, and which pages must be put after them.
 *
 * A host that applies a flush takes the parts in order and then its other pages. So a part may be put when it has no
 * page that the commit leaves unchanged (such a page is from a transaction or a savepoint that was rolled back) and
 * none beyond the end of the database; and every page for which these parts do not end with the committed content
 * follows them. So the result does not depend on the times at which frames were taken: the committed frames alone
 * decide it.
 */
import type { StagedBytes } from "../core/delta.ts";
import { pageHashBytes } from "./page-hashes.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";

/** Frames as they were taken. */
export interface TakenPages {
  /** Its first frame, counted from 0 at the beginning of what was taken. */
  readonly at: number;
  readonly pages: Uint32Array;
  readonly hashes: Uint8Array;
  /** Undefined: the part is not in the vault. */
  readonly staged: StagedBytes | undefined;
  /** Of its bytes (staged-part.ts). */
  readonly mark: bigint;
}

export interface CommittedFrames {
  /** The frame before the first one that was taken. */
  readonly base: number;
  /** Number of committed frames, all of which were taken. */
  readonly count: number;
  /** Of the database. */
  readonly pageCount: number;
  /** Frames that differ from what was taken, counted from 0. */
  readonly changed: ReadonlyMap<number, { readonly page: number; readonly hash: Uint8Array }>;
}

/** Pages that are staged in the vault as they will be in their record. */
export interface StagedPages {
  readonly pages: Uint32Array;
  readonly staged: StagedBytes;
  readonly mark: bigint;
}

export interface CommittedPages {
  /** Page -> the last frame that wrote it. */
  readonly frames: Map<number, number>;
  readonly hashes: Map<number, Uint8Array>;
  /** To be put, in order. */
  readonly staged: readonly StagedPages[];
  /** Page -> its last frame, of pages that are put after them. */
  readonly rest: Map<number, number>;
}

/** Between two looks at the time. */
const framesPerYield = 1024;

export async function mergeParts(
  parts: readonly TakenPages[],
  committed: CommittedFrames,
  budget: EventLoopBudget,
): Promise<CommittedPages> {
  const { frames, hashes } = await lastFrames(parts, committed, budget);
  const { count, pageCount } = committed;
  const put: StagedPages[] = [];
  const rest = new Map(frames);
  for (const { at, pages, hashes: taken, staged, mark } of parts) {
    if (staged === undefined || at + pages.length > count) continue;
    if (!pages.every((page) => page <= pageCount && hashes.has(page))) continue;
    put.push({ pages, staged, mark });
    for (const [i, page] of pages.entries()) {
      if (isSame(hashes.get(page), taken, i)) rest.delete(page);
      else rest.set(page, frames.get(page) as number);
      if (i % framesPerYield === 0) await budget.yieldIfDue();
    }
  }
  return { frames, hashes, staged: put, rest };
}

async function lastFrames(
  parts: readonly TakenPages[],
  { base, count, pageCount, changed }: CommittedFrames,
  budget: EventLoopBudget,
): Promise<Pick<CommittedPages, "frames" | "hashes">> {
  const frames = new Map<number, number>();
  const hashes = new Map<number, Uint8Array>();
  for (const { at, pages, hashes: taken } of parts) {
    for (let i = 0; i < pages.length && at + i < count; i++) {
      const now = changed.get(at + i);
      const page = now?.page ?? pages[i] ?? 0;
      if (page === 0 || page > pageCount) continue;
      frames.set(page, base + 1 + at + i);
      hashes.set(page, now?.hash ?? taken.subarray(i * pageHashBytes, (i + 1) * pageHashBytes));
      if (i % framesPerYield === 0) await budget.yieldIfDue();
    }
  }
  return { frames, hashes };
}

function isSame(hash: Uint8Array | undefined, taken: Uint8Array, at: number): boolean {
  for (let i = 0; i < pageHashBytes; i++) if (hash?.[i] !== taken[at * pageHashBytes + i]) return false;
  return true;
}
