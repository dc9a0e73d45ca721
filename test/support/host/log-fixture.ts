/** Logs written by real writers, for the tests of what reads them. */
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import type { RecordFormat } from "../../../src/core/record-format.ts";
import { allRules } from "../../../src/core/rules.ts";
import { hashPage, PageHashes } from "../../../src/capture/page-hashes.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import type { Log } from "../../../src/vault/log/log.ts";
import { LogReader } from "../../../src/vault/log/log-reader.ts";
import { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { StoreLog } from "../../../src/vault/log/store-log.ts";
import type { Store } from "../../../src/vault/store/store.ts";

export const service = "notes";
export const pageSize = 512;
export const zeros = "0".repeat(64);
export const ports = { clock: systemClock, random: systemRandom, rules: allRules };

export const logIn = (store: Store): Log => new StoreLog(store, service);

export function readerFromStart(store: Store): LogReader {
  return new LogReader({ log: logIn(store), start: { position: 0, hash: zeros }, rules: allRules });
}

export interface ClaimAs {
  readonly instance?: string;
  readonly controlUrl?: string;
  readonly leaseMs?: number;
  readonly format?: RecordFormat;
}

/** Claims the next epoch as `host` at the end of any log. */
export async function claimAs(store: Store, host: string, options: ClaimAs = {}): Promise<LogWriter> {
  const reader = readerFromStart(store);
  while ((await reader.next()) !== undefined);
  const { instance = `${host}-1`, controlUrl = "http://127.0.0.1:9", leaseMs = 60_000, format = 1 } = options;
  const outcome = await LogWriter.claim({
    reader,
    host,
    leaseMs,
    controlUrl,
    instance,
    format: () => format,
    ...ports,
  });
  if (outcome.kind !== "claimed") throw new Error(outcome.kind);
  return outcome.writer;
}

/** A database of whole pages as it grows: each change gives the delta that a primary would journal. */
export class Pages {
  readonly name: string;
  readonly #hashes = new PageHashes(pageSize);
  readonly contents: Uint8Array[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Sets pages (from 1) to `fill` bytes. */
  change(fills: Readonly<Record<number, number>>): DatabaseDelta {
    const pages = Object.entries(fills).map(([page, fill]) => ({
      number: Number(page),
      content: new Uint8Array(pageSize).fill(fill),
    }));
    for (const { number, content } of pages) this.contents[number - 1] = content;
    const pageCount = this.contents.length;
    this.#hashes.change(pageCount, new Map(pages.map(({ number, content }) => [number, hashPage(number, content)])));
    return { name: this.name, pageSize, pageCount, checksum: this.checksum(), pages };
  }

  checksum(): Uint8Array {
    return this.#hashes.checksum();
  }

  /** As a checkpoint would read it. */
  snapshot(): {
    name: string;
    pageSize: number;
    pageCount: number;
    checksum: Uint8Array;
    read(offset: number, length: number): Promise<Uint8Array>;
  } {
    const bytes = Buffer.concat(this.contents);
    const read = (offset: number, length: number): Promise<Uint8Array> =>
      Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length)));
    return { name: this.name, pageSize, pageCount: this.contents.length, checksum: this.checksum(), read };
  }
}

/** Waits for a condition; the test's own time-out is the limit. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
}
