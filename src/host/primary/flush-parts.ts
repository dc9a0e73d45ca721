/**
 * The parts of a flush, one put after the other. While one is put, the next is read, proved, encoded and announced to
 * the vault, so that a large flush takes as long as the slower of the two, not the sum.
 *
 * One put in flight (R2): an announced part has no name before `put` is called for it, when the previous one is
 * durable. Nothing else comes between two parts, since this loop is the one that puts; each part renews the lease.
 *
 * Files beside the databases are in sections (flush-sections.ts), which may need more parts than the databases.
 */
import type { DatabaseDelta } from "../../core/delta.ts";
import type { RecordBody } from "../../vault/record.ts";
import type { CaptureBatch } from "../ports/ports.ts";
import { FlushSections } from "./flush-sections.ts";

interface FlushPart {
  readonly body: Extract<RecordBody, { kind: "commit" }>;
  /** Content of pages and files. */
  readonly bytes: number;
}

export interface PartPorts {
  /** Resolves when it is durable. */
  put(part: FlushPart): Promise<void>;
  /** Announces the part that is put next. */
  prepare(part: FlushPart): void;
}

/**
 * Resolves when all parts are durable; rejects when a put or the reading of a part fails, but not while one is still
 * being read.
 */
export async function putParts(batch: CaptureBatch, { put, prepare }: PartPorts, sections = noSections): Promise<void> {
  const parts = flushParts(batch, sections);
  for (let part = parts.next(); part.done !== true; ) {
    // Begun first: it is the disk's work, and the preparation follows it.
    const putting = put(part.value);
    const [done, next] = await Promise.allSettled([putting, nextOf()]);
    if (done.status === "rejected") throw done.reason;
    if (next.status === "rejected") throw next.reason;
    part = next.value;
  }

  async function nextOf(): Promise<IteratorResult<FlushPart, undefined>> {
    await batch.readAhead?.();
    const next = parts.next();
    // A record with sections is encoded when it is put.
    if (next.done !== true && sections.of(next.value.body.part).length === 0) prepare(next.value);
    return next;
  }
}

const noSections = new FlushSections([], undefined);

/** Parts of the flush. */
export const partCountOf = (batch: CaptureBatch, sections: FlushSections): number =>
  Math.max(batch.partCount, sections.partCount);

function* flushParts(batch: CaptureBatch, sections: FlushSections): Generator<FlushPart, undefined> {
  const parts = partCountOf(batch, sections);
  let part = 0;
  const partOf = (databases: readonly DatabaseDelta[]): FlushPart => ({
    body: { kind: "commit", part: (part += 1), parts, databases },
    bytes: contentBytes(databases) + sections.bytesOf(part),
  });
  for (const databases of batch.parts()) yield partOf(databases);
  while (part < parts) yield partOf([]);
}

const contentBytes = (databases: readonly DatabaseDelta[]): number =>
  databases.reduce((sum, { pages, pageSize }) => sum + pages.length * pageSize, 0);
