import { expect, test } from "bun:test";
import { LogStatus } from "../../../src/host/secondary/log-status.ts";
import type { LogRecord, RecordBody } from "../../../src/vault/record.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

/** What host a, run "a-2", knows of the log, and the duplicates of its id that it found. */
function statusOfSecondRun() {
  const duplicates: string[] = [];
  const clock = new ManualClock();
  const status = new LogStatus({
    clock,
    host: "a",
    instance: "a-2",
    onDuplicateId: (controlUrl) => duplicates.push(controlUrl),
  });
  let position = 0;
  const read = (host: string, nonce: string, body: RecordBody): void => {
    position += 1;
    const record: LogRecord = {
      header: { position, epoch: 1, host, nonce, wallTimeMs: 0, previousHash: "" },
      body,
      sections: [],
      format: 1,
      steadVersion: undefined,
      hash: "",
    };
    status.read(record);
  };
  const claim = (host: string, instance: string): void =>
    read(host, instance, { kind: "epoch", leaseMs: 1_000, controlUrl: `http://${instance}`, instance });
  const renew = (host: string, instance: string): void => read(host, instance, { kind: "renew" });
  return { status, clock, duplicates, read, claim, renew };
}

test("earlier runs of this host in the history are no duplicates", () => {
  const { duplicates, claim, renew } = statusOfSecondRun();
  claim("a", "a-1");
  renew("a", "a-1");
  expect(duplicates).toEqual([]);
});

test("a late claim of this host's earlier run is no duplicate: nothing follows it", () => {
  const { status, duplicates, claim, renew } = statusOfSecondRun();
  status.isCurrent(undefined, 0);
  claim("a", "a-1");
  claim("b", "b-1");
  renew("b", "b-1");
  expect(duplicates).toEqual([]);
});

test("another process with this host's id that continues to write is a duplicate", () => {
  const { status, duplicates, claim, renew } = statusOfSecondRun();
  status.isCurrent(undefined, 0);
  claim("a", "a-9");
  expect(duplicates).toEqual([]);
  renew("a", "a-9");
  expect(duplicates).toEqual(["http://a-9"]);
});

test("this run's own records prove no duplicate", () => {
  const { status, duplicates, claim, renew } = statusOfSecondRun();
  status.isCurrent(undefined, 0);
  claim("a", "a-2");
  renew("a", "a-2");
  expect(duplicates).toEqual([]);
});

const checkpoint = {
  ...{ position: 10, hash: "", epoch: 1, epochPosition: 1, wallTimeMs: 0, previous: null, scrubbedTo: "" },
  ...{ databases: [], manifestHash: "" },
};

const commit: RecordBody = {
  kind: "commit",
  part: 1,
  parts: 1,
  databases: [
    {
      ...{ name: "a.db", pageSize: 4096, pageCount: 9, checksum: new Uint8Array(16) },
      pages: [1, 2, 3].map((number) => ({ number, content: new Uint8Array(4096) })),
    },
  ],
};

test("what a restore reads after its checkpoint counts, with the announcement of that checkpoint itself", () => {
  const { status, clock, read } = statusOfSecondRun();
  read("b", "b-1", commit);
  status.rereads();
  read("b", "b-1", { kind: "checkpoint", checkpointPosition: 10, manifestHash: "" });
  read("b", "b-1", commit);
  clock.advance(50_000);
  status.restoredFrom({ ...checkpoint, wallTimeMs: 20_000 });
  status.isCurrent(undefined, 12);
  read("b", "b-1", commit);
  expect(status.checkpoint?.position).toBe(10);
  expect(status.sinceCheckpoint).toEqual({ elapsedMs: 30_000, bytes: 6 * 4096, records: 3 });
});

test("a checkpoint that is announced while this host follows, and one of its own, starts the count over", () => {
  const { status, clock, read } = statusOfSecondRun();
  status.isCurrent(undefined, 0);
  read("b", "b-1", commit);
  clock.advance(1_000);
  expect(status.sinceCheckpoint).toEqual({ elapsedMs: 1_000, bytes: 3 * 4096, records: 1 });
  read("b", "b-1", { kind: "checkpoint", checkpointPosition: 1, manifestHash: "" });
  clock.advance(500);
  read("b", "b-1", { kind: "renew" });
  expect(status.sinceCheckpoint).toEqual({ elapsedMs: 500, bytes: 0, records: 1 });
  read("b", "b-1", commit);
  status.wroteCheckpoint(checkpoint);
  expect(status.sinceCheckpoint).toEqual({ elapsedMs: 0, bytes: 0, records: 0 });
});

test("a checkpoint from a clock that is ahead is as new as can be", () => {
  const { status } = statusOfSecondRun();
  status.restoredFrom({ ...checkpoint, wallTimeMs: 99_000_000 });
  expect(status.sinceCheckpoint.elapsedMs).toBe(0);
});
