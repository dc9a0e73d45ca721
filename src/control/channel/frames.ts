/**
 * The body of an authenticated answer: frames `LENGTH CODE\n`, each followed by its bytes. The code covers the frame's
 * number, its bytes, and by its key the head of the answer and the request. A frame of length 0 is the end; a body
 * without it was cut off. So each line of a stream is believed when it arrives, and none can be repeated, left out or
 * moved into another answer.
 */
import { createHmac } from "node:crypto";
import { isSame } from "./transcript.ts";

/** What a reader holds without having verified it. */
const frameBytesMax = 64 * 1024;
const headBytesMax = 64;
const lineEnd = 0x0a;

/** Returns the key of the frames of one answer. */
export const frameKey = (answerKey: Buffer, answerCode: string): Buffer =>
  createHmac("sha256", answerKey).update("frames").update(answerCode).digest();

const frameCode = (key: Buffer, number: number, bytes: Uint8Array): string =>
  createHmac("sha256", key).update(`${number} ${bytes.length}:`).update(bytes).digest("base64url");

export class FrameWriter {
  readonly #key: Buffer;
  #number = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Returns these bytes as frames. */
  write(bytes: Uint8Array): Buffer {
    const frames: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += frameBytesMax)
      frames.push(this.#frame(bytes.subarray(at, at + frameBytesMax)));
    return Buffer.concat(frames);
  }

  /** Returns the last frame. */
  close(): Buffer {
    return this.#frame(new Uint8Array());
  }

  #frame(bytes: Uint8Array): Buffer {
    const code = frameCode(this.#key, this.#number++, bytes);
    return Buffer.concat([Buffer.from(`${bytes.length} ${code}\n`), bytes]);
  }
}

export class FrameReader {
  readonly #key: Buffer;
  #rest: Buffer = Buffer.alloc(0);
  #number = 0;
  #isOver = false;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** True once the end was read. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Returns the bytes that are verified by now; undefined: what arrived is not authentic. */
  read(bytes: Buffer): Buffer | undefined {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const taken: Buffer[] = [];
    for (;;) {
      const frame = this.#next();
      if (frame === "forged") return undefined;
      if (frame === "short") return Buffer.concat(taken);
      taken.push(frame);
    }
  }

  #next(): Buffer | "short" | "forged" {
    const rest = this.#rest;
    if (this.#isOver) return rest.length === 0 ? "short" : "forged";
    const at = rest.indexOf(lineEnd);
    if (at === -1) return rest.length > headBytesMax ? "forged" : "short";
    const head = /^(0|[1-9]\d{0,5}) (\S+)$/.exec(rest.toString("latin1", 0, at));
    const length = Number(head?.[1] ?? NaN);
    if (head === null || at > headBytesMax || length > frameBytesMax) return "forged";
    if (rest.length < at + 1 + length) return "short";
    const bytes = rest.subarray(at + 1, at + 1 + length);
    if (!isSame(head[2] ?? "", frameCode(this.#key, this.#number, bytes))) return "forged";
    this.#number += 1;
    this.#rest = rest.subarray(at + 1 + length);
    this.#isOver = length === 0;
    return bytes;
  }
}
