import { expect, test } from "bun:test";
import { LogView } from "../../../src/host/secondary/log-view.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import type { LogRecord, RecordBody } from "../../../src/vault/record.ts";

/** A view of host a, run "a-2", and what it was told. */
function viewOfSecondRun() {
  const twins: string[] = [];
  const view = new LogView({
    clock: systemClock,
    host: "a",
    instance: "a-2",
    onTwin: (controlUrl) => twins.push(controlUrl),
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
    view.read(record);
  };
  const claim = (host: string, instance: string): void =>
    read(host, instance, { kind: "epoch", leaseMs: 1_000, controlUrl: `http://${instance}`, instance });
  const renew = (host: string, instance: string): void => read(host, instance, { kind: "renew" });
  return { view, twins, claim, renew };
}

test("earlier runs of this host in the history are no twins", () => {
  const { twins, claim, renew } = viewOfSecondRun();
  claim("a", "a-1");
  renew("a", "a-1");
  expect(twins).toEqual([]);
});

test("a late claim of this host's earlier run is no twin: nothing follows it", () => {
  const { view, twins, claim, renew } = viewOfSecondRun();
  view.isCurrent(undefined, 0);
  claim("a", "a-1");
  claim("b", "b-1");
  renew("b", "b-1");
  expect(twins).toEqual([]);
});

test("another process with this host's id that goes on writing is a twin", () => {
  const { view, twins, claim, renew } = viewOfSecondRun();
  view.isCurrent(undefined, 0);
  claim("a", "a-9");
  expect(twins).toEqual([]);
  renew("a", "a-9");
  expect(twins).toEqual(["http://a-9"]);
});

test("this run's own records are no twin's", () => {
  const { view, twins, claim, renew } = viewOfSecondRun();
  view.isCurrent(undefined, 0);
  claim("a", "a-2");
  renew("a", "a-2");
  expect(twins).toEqual([]);
});
