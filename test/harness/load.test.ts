import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { History, type HistoryResult, type ViolationKind } from "../../harness/history.ts";
import { LedgerModel } from "../../harness/ledger-model.ts";
import { Load, type LoadCounts } from "../../harness/load.ts";
import type { DemoModel } from "../../harness/model.ts";
import { NotesModel } from "../../harness/notes-model.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeApplication, type Fault } from "../support/harness/fake-application.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const workers = 6;
const writesWanted = 120;

const running: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.close();
});

interface Judged {
  readonly counts: LoadCounts;
  readonly result: HistoryResult;
  readonly history: History;
  kinds(): ViolationKind[];
}

/** A whole load against a fake application with a fault, judged as the demo judges. */
async function judge(model: DemoModel, fault: Fault): Promise<Judged> {
  const application = new FakeApplication(fault);
  running.push(application);
  const history = new History();
  const url = await application.listen();
  const load = new Load({
    urls: [url],
    model,
    history,
    clock: systemClock,
    seed: 7,
    workers,
    requestsPerSecond: 1500,
    timeoutMs: 5000,
  });
  running.push(load);
  await load.start();
  while (history.acknowledgedCount < writesWanted) await systemClock.sleep(5);
  await load.stop();
  const { entries, broken } = await model.readBack((path) => load.get(path));
  if (broken !== undefined) history.report("sum", broken);
  const result = history.finish(entries);
  return {
    counts: load.counts,
    result,
    history,
    kinds: () => [...new Set(history.violations.map(({ kind }) => kind))],
  };
}

for (const [name, makeModel] of [
  ["notes", () => new NotesModel("t", workers)],
  ["ledger", () => new LedgerModel("t", workers)],
] as const) {
  describe(`the load of ${name}`, () => {
    test("finds nothing wrong with an application that does what it says", async () => {
      const { counts, result, history } = await judge(makeModel(), { kind: "none" });
      expect(history.violations).toEqual([]);
      expect(counts.failed).toBe(0);
      expect(counts.unknown).toBe(0);
      expect(result).toEqual({ acknowledged: history.acknowledgedCount, missing: 0, phantom: 0, forbidden: 0 });
      expect(counts.ok).toBeGreaterThan(result.acknowledged);
    });

    test("finds that the last acknowledged writes were lost", async () => {
      const { result, kinds } = await judge(makeModel(), { kind: "loses-last-writes", atWrite: 60, count: 1 });
      expect(result.missing).toBeGreaterThan(0);
      expect(kinds()).toContain("missing");
    });

    test("finds that several acknowledged writes were lost", async () => {
      const { result } = await judge(makeModel(), { kind: "loses-last-writes", atWrite: 60, count: 3 });
      expect(result.missing).toBeGreaterThan(1);
    });

    test("finds that one write from the middle is missing", async () => {
      const { result, kinds } = await judge(makeModel(), { kind: "loses-one-from-the-middle", atWrite: 60 });
      expect(result.missing).toBe(1);
      expect(kinds()).toContain("incomplete");
    });

    test("finds a write that is there twice", async () => {
      const { result, kinds } = await judge(makeModel(), { kind: "duplicates", atWrite: 60 });
      expect(kinds()).toEqual(["duplicate"]);
      expect(result.missing).toBe(0);
    });

    test("finds reads of older state", async () => {
      const { kinds } = await judge(makeModel(), { kind: "stale-reads", atWrite: 60 });
      expect(kinds()).toContain("stale");
    });

    test("finds that a client was shown a write that was taken back later", async () => {
      const { kinds } = await judge(makeModel(), { kind: "shows-and-takes-back", atWrite: 60 });
      expect(kinds()).toContain("undone");
    });

    test("counts a write that was answered with an error as failed", async () => {
      const { counts, history } = await judge(makeModel(), { kind: "error", atWrite: 60 });
      expect(counts.failed).toBe(1);
      expect(history.violations).toEqual([]);
    });
  });
}

describe("a write with an unknown outcome", () => {
  test("may be there once, as a phantom", async () => {
    const { counts, result, history } = await judge(new LedgerModel("t", workers), {
      kind: "unknown-that-happened",
      atWrite: 60,
    });
    expect(counts).toMatchObject({ unknown: 1, failed: 0 });
    expect(result).toMatchObject({ missing: 0, phantom: 1 });
    expect(history.violations).toEqual([]);
  });

  test("may be absent", async () => {
    const { counts, result, history } = await judge(new LedgerModel("t", workers), {
      kind: "unknown-that-did-not",
      atWrite: 60,
    });
    expect(counts).toMatchObject({ unknown: 1, failed: 0 });
    expect(result).toMatchObject({ missing: 0, phantom: 0 });
    expect(history.violations).toEqual([]);
  });
});

test("a sum that is broken in any read is found, and at the end", async () => {
  const { kinds } = await judge(new LedgerModel("t", workers), { kind: "breaks-the-sum", atWrite: 60 });
  expect(kinds()).toEqual(["sum"]);
});
