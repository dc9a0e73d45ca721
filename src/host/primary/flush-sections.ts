/**
 * The sections of a flush's records, part by part: what it has of requests in the first, and files over as many parts
 * as their contents need.
 */
import type { FileChange } from "../../core/files/file-change.ts";
import type { SectionToWrite } from "../../core/flush.ts";
import { changeBytes, filesSection } from "../../vault/log/files-section.ts";
import { contentBytesOf } from "../../vault/log/section-codec.ts";
import type { FilesOfBatch } from "../ports/ports.ts";

/** Of files in one part, unless a single file has more. */
const partBytesMax = 8 * 1024 * 1024;
const none: readonly SectionToWrite[] = [];

export class FlushSections {
  readonly #requests: readonly SectionToWrite[];
  readonly #files: readonly SectionToWrite[];

  constructor(requests: readonly SectionToWrite[], files: FilesOfBatch | undefined) {
    this.#requests = requests;
    this.#files =
      files === undefined
        ? none
        : partsOf(files.changes).map((changes) => filesSection({ changes, checksum: files.checksum }));
  }

  /** Parts that a flush needs for them at least. */
  get partCount(): number {
    return this.#files.length;
  }

  /** `part`: from 1. */
  of(part: number): readonly SectionToWrite[] {
    const requests = part === 1 ? this.#requests : none;
    const files = this.#files[part - 1];
    return files === undefined ? requests : [...requests, files];
  }

  /** Bytes of files in a part. */
  bytesOf(part: number): number {
    const files = this.#files[part - 1];
    return files === undefined ? 0 : contentBytesOf(files);
  }
}

function partsOf(changes: readonly FileChange[]): FileChange[][] {
  const parts: FileChange[][] = [];
  let room = 0;
  for (const change of changes) {
    const bytes = changeBytes(change);
    if (bytes > room || parts.length === 0) {
      parts.push([]);
      room = partBytesMax;
    }
    parts.at(-1)?.push(change);
    room -= bytes;
  }
  return parts;
}
