/**
 * Hosts that write and read one log, on a clock that stands still unless a pause is asked for: then it jumps to its
 * end.
 */
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import { allRules, type Rules } from "../../../src/core/rules.ts";
import type { Clock } from "../../../src/runtime/clock.ts";
import type { Random } from "../../../src/runtime/random.ts";
import type { Log } from "../../../src/vault/log/log.ts";
import { boundaryKey } from "../../../src/vault/log/log-key.ts";
import { LogReader, type LogStart } from "../../../src/vault/log/log-reader.ts";
import { type ClaimOptions, LogWriter } from "../../../src/vault/log/log-writer.ts";
import { genesisHash } from "../../../src/vault/log/record-codec.ts";
import { StoreLog } from "../../../src/vault/log/store-log.ts";
import type { LogRecord, RecordBody } from "../../../src/vault/record.ts";
import type { Store, StoreError } from "../../../src/vault/store/store.ts";

export class JumpingClock implements Clock {
  time = 1000;
  now(): number {
    return this.time;
  }
  wallTime(): number {
    return 1_700_000_000_000 + this.time;
  }
  setTimer(): never {
    throw new Error("not needed here");
  }
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.time += delayMs;
    if (this.time > sleptMsMax) throw new Error(`slept for ${sleptMsMax} ms: what is waited for does not come`);
    return Promise.resolve();
  }
}

/** A retry without end would otherwise take all memory within seconds. */
const sleptMsMax = 10 * 24 * 3_600_000;

/** The same numbers for the same seed (xorshift32). */
export function seededRandom(seed: number): Random {
  let state = (seed * 2654435761) >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() >>> 11),
    fraction: () => next() / 0x1_0000_0000,
  };
}

export const service = "notes";

/** The log in a store, or the log itself. */
export const logIn = (place: Store | Log): Log => ("putIfAbsent" in place ? new StoreLog(place, service) : place);

/** As retention leaves the vault when it is interrupted before its first deletion. */
export const raiseBoundary = (store: Store, position: number): Promise<unknown> =>
  store.putIfAbsent(boundaryKey(position), new Uint8Array());

export function readerOf(
  place: Store | Log,
  start: LogStart = { position: 0, hash: genesisHash },
  rules: Rules = allRules,
): LogReader {
  return new LogReader({ log: logIn(place), start, rules });
}

export async function readToEnd(reader: LogReader): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) records.push(record);
  return records;
}

export interface TestHost {
  readonly clock: JumpingClock;
  readonly reader: LogReader;
  readonly failures: StoreError[];
  readonly options: ClaimOptions;
  claim(): ReturnType<typeof LogWriter.claim>;
  /** Reads to the end and claims; anything but success is a failure of the test. */
  lead(): Promise<LogWriter>;
}

export function makeHost(
  host: string,
  place: Store | Log,
  settings: { start?: LogStart; rules?: Rules; seed?: number; signal?: AbortSignal } = {},
): TestHost {
  const clock = new JumpingClock();
  const rules = settings.rules ?? allRules;
  const reader = readerOf(place, settings.start, rules);
  const failures: StoreError[] = [];
  const seed = settings.seed ?? [...host].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7);
  const ports = {
    clock,
    random: seededRandom(seed),
    rules,
    onFailure: (error: StoreError) => void failures.push(error),
  };
  const signal = settings.signal === undefined ? {} : { signal: settings.signal };
  const options: ClaimOptions = {
    reader,
    host,
    leaseMs: 1000,
    controlUrl: `http://${host}:1`,
    instance: `${host}-1`,
    ...ports,
    ...signal,
  };
  const claim = (): ReturnType<typeof LogWriter.claim> => LogWriter.claim(options);
  const lead = async (): Promise<LogWriter> => {
    await readToEnd(reader);
    const outcome = await claim();
    if (outcome.kind !== "claimed") throw new Error(`the claim ended as ${outcome.kind}`);
    return outcome.writer;
  };
  return { clock, reader, failures, options, claim, lead };
}

export function delta(
  fill: number,
  settings: { pageSize?: number; pageCount?: number; pages?: readonly number[]; name?: string } = {},
): DatabaseDelta {
  const { pageSize = 512, pageCount = 4, pages = [1], name = "app.db" } = settings;
  const checksum = new Uint8Array(16).fill(fill);
  return {
    name,
    pageSize,
    pageCount,
    checksum,
    pages: pages.map((number) => ({ number, content: new Uint8Array(pageSize).fill(fill) })),
  };
}

export const commit = (fill: number, part = 1, parts = 1): RecordBody => ({
  kind: "commit",
  part,
  parts,
  databases: [delta(fill)],
});

/** What a promise is rejected with; a promise that is kept is a failure of the test. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`it was expected to fail, and gave ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
}
