/**
 * The application's output in the host's log: each line with a prefix, and without control characters, so that no line
 * of it can be taken for one of the host, and none steers a terminal.
 *
 * Bounded: a line without an end is cut, and a reader of the log that does not keep up loses lines of the application,
 * whose number is told. How one would try to forge a line: a carriage return, a line separator of Unicode, an escape
 * sequence that moves the cursor, bytes that are not UTF-8. All of them are escaped (runtime/printable.ts), or read as
 * the replacement character.
 *
 * Attacked in test/security/B4-output.test.ts: "no line of the application can be taken for one of the host", "bytes
 * that are not UTF-8".
 */
import { escapeControls } from "../../runtime/printable.ts";
import type { OutputSink } from "./watcher.ts";

export const outputPrefix = "application | ";
const lineBytesMax = 16 * 1024;
/** Of what the log's reader has not taken yet. */
const unreadBytesMax = 1024 * 1024;
const lineEnd = 0x0a;

export interface LogStream {
  write(text: string): unknown;
  /** Bytes written and not taken. */
  readonly writableLength: number;
}

/** A line of the application as it stands in the log, without the line's end. */
export type LineFormat = (line: string) => string;

const prefixed =
  (prefix: string): LineFormat =>
  (line) =>
    `${prefix}${escapeControls(line, "\t")}`;

/** In a log of JSON lines (runtime/log.ts): `process` is that of the host's own lines. */
export const applicationJsonLine =
  (process: string): LineFormat =>
  (line) =>
    JSON.stringify({ time: new Date().toISOString(), level: "info", stream: "application", process, message: line });

export class PrefixedOutput implements OutputSink {
  readonly #stream: LogStream;
  readonly #format: LineFormat;
  #rest: Buffer = Buffer.alloc(0);
  #left = 0;

  /** @param format a text is the prefix of each line; empty: in a log of its own */
  constructor(stream: LogStream = process.stderr, format: string | LineFormat = outputPrefix) {
    this.#stream = stream;
    this.#format = typeof format === "string" ? prefixed(format) : format;
  }

  take(bytes: Uint8Array): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    let from = 0;
    for (;;) {
      const end = this.#rest.indexOf(lineEnd, from);
      const isLong = (end === -1 ? this.#rest.length : end) - from > lineBytesMax;
      if (end === -1 && !isLong) break;
      const to = isLong ? from + lineBytesMax : end;
      this.#write(this.#rest.subarray(from, to));
      from = isLong ? to : to + 1;
    }
    this.#rest = Buffer.from(this.#rest.subarray(from));
  }

  close(): void {
    if (this.#rest.length > 0) this.#write(this.#rest);
    this.#rest = Buffer.alloc(0);
  }

  #write(line: Uint8Array): void {
    if (this.#stream.writableLength > unreadBytesMax) {
      this.#left++;
      return;
    }
    const lost = this.#left === 0 ? "" : `${this.#format(`(${this.#left} lines left out: the log was not read)`)}\n`;
    this.#left = 0;
    this.#stream.write(`${lost}${this.#format(withoutReturn(Buffer.from(line).toString("utf8")))}\n`);
  }
}

/** A carriage return before the line's end is part of the end. */
const withoutReturn = (text: string): string => text.replace(/\r$/, "");
