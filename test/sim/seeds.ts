/** Many seeds, spread over threads; the sum of what they went through. */
import { availableParallelism } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { Counts } from "./coverage.ts";
import type { LogKind } from "./options.ts";
import { run } from "./run.ts";

export interface Sum {
  histories: number;
  failovers: number;
  fenced: number;
  restores: number;
  acknowledged: number;
  unknown: number;
  notExecuted: number;
  setAsides: number;
  fileSetAsides: number;
  fileChunks: number;
  samePieces: number;
  links: number;
  folders: number;
  ambiguousPuts: number;
  lostReplies: number;
  staleMisses: number;
  failedSyncs: number;
  segmentHistories: number;
  events: number;
  virtualMs: number;
  readonly faults: Counts;
  readonly transitions: Counts;
  readonly pairs: Counts;
  readonly failed: { readonly seed: number; readonly violation: string }[];
}

export const emptySum = (): Sum => ({
  ...{ histories: 0, failovers: 0, fenced: 0, restores: 0, acknowledged: 0, unknown: 0, notExecuted: 0, setAsides: 0 },
  ...{ fileSetAsides: 0, fileChunks: 0, samePieces: 0, links: 0, folders: 0 },
  ...{ ambiguousPuts: 0, lostReplies: 0, staleMisses: 0, failedSyncs: 0, segmentHistories: 0, events: 0, virtualMs: 0 },
  faults: {},
  transitions: {},
  pairs: {},
  failed: [],
});

interface Share {
  readonly from: number;
  readonly count: number;
  readonly step: number;
  readonly log: LogKind | undefined;
}

/** `onFailed` hears of each failing seed at once. */
export async function runSeeds(
  from: number,
  count: number,
  jobs: number,
  onFailed: (seed: number, violation: string) => void,
  log?: LogKind,
): Promise<Sum> {
  const threads = Math.max(1, Math.min(jobs, count));
  const sums = await Promise.all(
    Array.from({ length: threads }, (_, thread) =>
      inThread({ from: from + thread, count: Math.ceil((count - thread) / threads), step: threads, log }, onFailed),
    ),
  );
  const total = emptySum();
  for (const sum of sums) add(total, sum);
  return total;
}

export const jobsDefault = (): number => Math.max(1, availableParallelism());

function inThread(share: Share, onFailed: (seed: number, violation: string) => void): Promise<Sum> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share });
    worker.on(
      "message",
      (message: { kind: "failed"; seed: number; violation: string } | { kind: "done"; sum: Sum }) => {
        if (message.kind === "failed") return onFailed(message.seed, message.violation);
        resolve(message.sum);
        worker.terminate().catch(reject);
      },
    );
    worker.once("error", reject);
  });
}

async function work({ from, count, step, log }: Share): Promise<Sum> {
  const sum = emptySum();
  for (let i = 0; i < count; i++) {
    const seed = from + i * step;
    const { figures, violations, options } = await run({ seed, ...(log === undefined ? {} : { options: { log } }) });
    const [violation] = violations;
    const failed = violation === undefined ? [] : [{ seed, violation }];
    const segmentHistories = options.log === "segments" ? 1 : 0;
    add(sum, { ...emptySum(), ...figures, histories: 1, segmentHistories, failed });
    if (violation !== undefined) parentPort?.postMessage({ kind: "failed", seed, violation });
  }
  return sum;
}

function add(total: Sum, more: Sum): void {
  for (const [key, value] of Object.entries(more)) {
    if (typeof value === "number")
      (total as unknown as Record<string, number>)[key] =
        ((total as unknown as Record<string, number>)[key] ?? 0) + value;
  }
  for (const of of ["faults", "transitions", "pairs"] as const) {
    for (const [name, times] of Object.entries(more[of])) total[of][name] = (total[of][name] ?? 0) + times;
  }
  total.failed.push(...more.failed);
}

if (!isMainThread && parentPort !== null)
  parentPort.postMessage({ kind: "done", sum: await work(workerData as Share) });
