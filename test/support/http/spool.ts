/** A spool in a folder of its own, with what it counts and logs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BodySpool, type BodySpoolOptions } from "../../../src/http/spool/body-spool.ts";
import type { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";

export interface SpoolFixture extends Disposable {
  readonly spool: BodySpool;
  readonly folder: string;
  /** How bodies ended, in order. */
  readonly results: string[];
  readonly warnings: string[];
}

export function spoolFixture(options: Partial<BodySpoolOptions> = {}): SpoolFixture {
  const parent = mkdtempSync(join(tmpdir(), "stead-spool-"));
  const folder = join(parent, "spool");
  const results: string[] = [];
  const warnings: string[] = [];
  const nothing = { observe: () => undefined, merge: () => undefined };
  const metrics: Metrics = {
    counter: (_name, labels) => ({ add: () => void results.push((labels as { result: string }).result) }),
    histogram: () => nothing,
    show: () => undefined,
  };
  const log = {
    info: () => undefined,
    warn: (what: string, fields = {}) => void warnings.push(`${what}: ${Object.values(fields).join(" ")}`),
    error: () => undefined,
  };
  const defaults = { bytesMax: 64 * 2 ** 20, folder, clock: systemClock, random: systemRandom };
  return {
    spool: new BodySpool({ ...defaults, log, metrics, ...options }),
    ...{ folder, results, warnings },
    [Symbol.dispose]: () => rmSync(parent, { recursive: true, force: true }),
  };
}

/** Bytes that are different in each block. */
export function bodyOf(bytes: number, seed = 1): Buffer {
  const body = Buffer.allocUnsafe(bytes);
  let state = seed;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    body[i] = state >>> 24;
  }
  return body;
}
