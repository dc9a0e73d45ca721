import { expect, test } from "bun:test";
import { checkpointDue, replayBytesPerMsDefault } from "../../../src/core/host/checkpoint-due.ts";

const thresholds = { intervalMs: 60_000, journalBytes: 1_000_000, restoreBudgetMs: 100 };
const since = { elapsedMs: 0, journalBytes: 0, records: 1, replayBytesPerMs: replayBytesPerMsDefault };

test("each threshold makes a checkpoint due when it is reached", () => {
  expect(checkpointDue(thresholds, since)).toEqual({ kind: "not-due" });
  expect(checkpointDue(thresholds, { ...since, elapsedMs: 59_999 })).toEqual({ kind: "not-due" });
  expect(checkpointDue(thresholds, { ...since, elapsedMs: 60_000 })).toEqual({ kind: "due", because: "interval" });
  expect(checkpointDue(thresholds, { ...since, journalBytes: 999_999 })).toEqual({ kind: "not-due" });
  expect(checkpointDue(thresholds, { ...since, journalBytes: 1_000_000 })).toEqual({
    kind: "due",
    because: "journal_bytes",
  });
});

test("a journal whose replay takes longer than the budget makes one due, and one that takes as long does not", () => {
  const slow = { ...since, replayBytesPerMs: 1_000 };
  expect(checkpointDue(thresholds, { ...slow, journalBytes: 100_000 })).toEqual({ kind: "not-due" });
  expect(checkpointDue(thresholds, { ...slow, journalBytes: 100_001 })).toEqual({
    kind: "due",
    because: "restore_budget",
  });
});

test("nothing is due while nothing was journaled", () => {
  expect(checkpointDue(thresholds, { ...since, records: 0, elapsedMs: 1e9, journalBytes: 1e9 })).toEqual({
    kind: "not-due",
  });
});
