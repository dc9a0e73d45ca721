/**
 * Collects access lines in memory and writes them a few times a second with one write, so that a line costs no system
 * call.
 *
 * Bounded: a slow disk loses lines, never requests; the number of lost lines is counted and reported. A file that was
 * moved away (logrotate) is noticed at the next write and reopened.
 */
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, statSync, write } from "node:fs";
import type { AccessLogTarget } from "../../config/types.ts";
import { accessLine, type AccessEntry, type AccessLogFormat } from "../../http/server/access-log.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const writeEveryMs = 200;
/** Characters that wait to be written; further lines are dropped and counted. */
const waitingCharactersMax = 4 * 1024 * 1024;
const stderrDescriptor = 2;

export class AccessLogFile {
  readonly #target: Exclude<AccessLogTarget, { kind: "off" }>;
  readonly #format: AccessLogFormat;
  readonly #clock: Clock;
  #descriptor: number;
  #lines: string[] = [];
  #characters = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  /** Lines that could not be written. */
  dropped = 0;
  /** The last error of the file; undefined if the last write succeeded. */
  warning: string | undefined;

  /** Throws the system's error when the file cannot be opened. */
  constructor(target: Exclude<AccessLogTarget, { kind: "off" }>, format: AccessLogFormat, clock: Clock) {
    this.#target = target;
    this.#format = format;
    this.#clock = clock;
    this.#descriptor = target.kind === "stderr" ? stderrDescriptor : openSync(target.path, "a", 0o640);
  }

  add(entry: AccessEntry): void {
    const line = accessLine(entry, this.#format);
    if (this.#characters + line.length > waitingCharactersMax) {
      this.dropped++;
      return;
    }
    this.#lines.push(line);
    this.#characters += line.length;
    this.#timer ??= this.#clock.setTimer(writeEveryMs, () => this.#flush());
  }

  /** Writes pending lines, and closes. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#writing;
    this.#flush();
    await this.#writing;
    this.#timer?.cancel();
    if (this.#target.kind === "file") closeSync(this.#descriptor);
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#writing !== undefined || this.#lines.length === 0) return;
    const lines = this.#lines;
    this.#lines = [];
    this.#characters = 0;
    this.#writing = this.#write(lines).then(() => {
      this.#writing = undefined;
      if (this.#lines.length > 0) this.#timer ??= this.#clock.setTimer(writeEveryMs, () => this.#flush());
    });
  }

  async #write(lines: readonly string[]): Promise<void> {
    try {
      this.#followMoves();
      await writeAll(this.#descriptor, Buffer.from(`${lines.join("\n")}\n`, "latin1"));
      this.warning = undefined;
    } catch (error) {
      this.dropped += lines.length;
      this.warning = `the access log cannot be written: ${messageOf(error)}`;
    }
  }

  #followMoves(): void {
    if (this.#target.kind !== "file") return;
    const there = statSync(this.#target.path, { throwIfNoEntry: false });
    if (there?.ino === fstatSync(this.#descriptor).ino) return;
    const fresh = openSync(this.#target.path, "a", 0o640);
    closeSync(this.#descriptor);
    this.#descriptor = fresh;
  }
}

async function writeAll(descriptor: number, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += await new Promise<number>((resolve, reject) =>
      write(descriptor, bytes, at, bytes.length - at, null, (error, written) =>
        error === null ? resolve(written) : reject(error),
      ),
    );
  }
}
