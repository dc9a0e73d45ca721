import { expect, test } from "bun:test";
import { LogStatus } from "../../../src/host/secondary/log-status.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import type { LogRecord, RecordBody } from "../../../src/vault/record.ts";

/** What host a, run "a-2", knows of the log, and the duplicates of its id that it found. */
function statusOfSecondRun() {
  const duplicates: string[] = [];
  const status = new LogStatus({
    clock: systemClock,
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
  return { status, duplicates, claim, renew };
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
