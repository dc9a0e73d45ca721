/**
 * What one side knows of the end of the log, so that a server with less is found out: one that was restored from an
 * older copy of its folder, or that serves a copy beside the original.
 *
 * The digest is of the beginning of a record: its header has the writer's nonce and the hash of the record before, so
 * equal digests mean equal logs up to there.
 */
import { createHash } from "node:crypto";
import type { KnownEnd } from "./wire.ts";

const headBytes = 1024;

const digest = (head: Uint8Array, length: number): string =>
  createHash("sha256").update(`${length}\n`).update(head).digest("hex");

export const digestOf = (record: Uint8Array): string => digest(record.subarray(0, headBytes), record.length);

/** Follows what was read and acknowledged; the highest position counts. */
export class KnownLog {
  #position = 0;
  #head: Uint8Array = new Uint8Array();
  #length = 0;
  #digest: string | undefined;

  /** Rises with each `adopt`: connections that were made before have not been asked about it. */
  adoptions = 0;

  constructor(known?: KnownEnd) {
    if (known !== undefined) this.adopt(known);
  }

  /** Takes over what an earlier process knew. */
  adopt({ position, digest: found }: KnownEnd): void {
    this.adoptions += 1;
    if (position > this.#position) [this.#position, this.#digest] = [position, found];
  }

  /** Takes a record that is in the log. Cheap: the digest is made when it is asked for. */
  learn(position: number, record: Uint8Array): void {
    if (position <= this.#position) return;
    this.#position = position;
    this.#length = record.length;
    this.#digest = undefined;
    // A copy: the caller may change its buffer.
    this.#head = new Uint8Array(record.subarray(0, headBytes));
  }

  /** Undefined: nothing is known. */
  get end(): KnownEnd | undefined {
    if (this.#position === 0) return undefined;
    this.#digest ??= digest(this.#head, this.#length);
    return { position: this.#position, digest: this.#digest };
  }
}
