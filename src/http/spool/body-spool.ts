/**
 * Bodies of requests in files: bounded in all, each in a file of its own (spooled-body.ts).
 *
 * Nothing is left behind, however the process ends: a file loses its name before the first byte is written to it, so
 * that the system frees it with the process. A kill between these two calls leaves an empty file, which the next
 * process removes. Removing files at the end, and at the next start, would leave bodies of clients on the disk of a
 * machine that is not started again, and could not tell those of another process that is still running: a worker, or
 * the process that is being replaced.
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { openFileLimit } from "../../runtime/open-file-limit.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { Random } from "../../runtime/random.ts";
import { openNameless, removeFile, type SpoolFile } from "./spool-file.ts";
import { spoolBlockBytes, type SpoolEnd, SpooledBody } from "./spooled-body.ts";

/** A client does not wait longer for the disk. */
const lateMs = 1_000;
/** After a failure no body is taken for this long. */
const afterFailureMs = 5_000;
/** The last failure is a warning for this long, unless a write succeeds before. */
const warnedMs = 60_000;
/** Share of the open files that are for bodies. */
const openFilesShare = 1 / 8;
const name = /^body-[0-9a-f]{32}$/;
const nameBytes = 16;

export interface BodySpoolOptions {
  /** For all bodies; read for each body. 0: none is taken. */
  readonly bytesMax: number;
  /** Created if it is missing; read for each body. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: Random;
}

/** Memory for what is not written yet, shared with others. */
export interface SpoolMemory {
  readonly memory: { total: number };
  readonly memoryBytesMax: number;
}

export class BodySpool {
  readonly #options: BodySpoolOptions;
  readonly #filesMax = Math.floor((openFileLimit() ?? Infinity) * openFilesShare);
  #bytes = 0;
  #bodies = 0;
  #sweptFolder: string | undefined;
  #failed: { readonly at: number; readonly why: string } | undefined;

  constructor(options: BodySpoolOptions) {
    this.#options = options;
  }

  /** Room for bodies that is in use. */
  get bytes(): number {
    return this.#bytes;
  }

  /** For the operator; undefined: nothing is wrong. */
  get warning(): string | undefined {
    const { clock, bytesMax } = this.#options;
    return this.#failed === undefined || bytesMax === 0 || clock.now() > this.#failed.at + warnedMs
      ? undefined
      : `long request bodies are not kept for resending, because ${this.#options.folder} cannot be used: ${this.#failed.why}`;
  }

  /**
   * Returns undefined if there is no room. `bytes`: the body's length; undefined: it is not known. `onFlow`: its
   * `isCongested` may have changed.
   */
  take(bytes: number | undefined, shared: SpoolMemory, onFlow: () => void): SpooledBody | undefined {
    const { bytesMax, clock } = this.#options;
    if (bytesMax === 0) return undefined;
    const hasFailed = this.#failed !== undefined && clock.now() < this.#failed.at + afterFailureMs;
    const reserved = Math.ceil((bytes ?? 0) / spoolBlockBytes) * spoolBlockBytes;
    const isRoom = !hasFailed && this.#bodies < this.#filesMax && this.#reserve(reserved);
    if (!isRoom) {
      this.#count(hasFailed ? "failed" : "full");
      return undefined;
    }
    this.#bodies += 1;
    return new SpooledBody(
      {
        memory: shared.memory,
        get hasMemory() {
          return shared.memory.total + spoolBlockBytes <= shared.memoryBytesMax;
        },
        open: () => this.#open(),
        reserve: (more) => this.#reserve(more),
        free: (less) => this.#free(less),
        watch: (onLate) => clock.setTimer(lateMs, onLate),
        onWritten: () => (this.#failed = undefined),
        onFailed: (error) => this.#onFailed(error),
        onEnd: (end) => this.#count(end),
      },
      reserved,
      onFlow,
    );
  }

  #reserve(bytes: number): boolean {
    if (this.#bytes + bytes > this.#options.bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  #free(bytes: number): void {
    this.#bytes -= bytes;
    this.#bodies -= 1;
  }

  #count(result: SpoolEnd): void {
    this.#options.metrics.counter("stead_spooled_bodies_total", { result }).add(1);
  }

  /** Told once, until a write succeeds. */
  #onFailed(error: unknown): void {
    const why = messageOf(error);
    const { clock, log, folder } = this.#options;
    if (this.#failed === undefined) log.warn("long request bodies are not kept for resending", { folder, why });
    this.#failed = { at: clock.now(), why };
  }

  async #open(): Promise<SpoolFile> {
    const { folder, random } = this.#options;
    if (this.#sweptFolder !== folder) await this.#sweep(folder);
    return openNameless(join(folder, `body-${Buffer.from(random.bytes(nameBytes)).toString("hex")}`));
  }

  /** Also what another process has just opened, which loses its name at once anyway. */
  async #sweep(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const entry of await readdir(folder)) if (name.test(entry)) await removeFile(join(folder, entry));
    this.#sweptFolder = folder;
  }
}
