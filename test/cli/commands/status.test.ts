/** What `stead status` and `stead gateways` say, word by word where an operator once misread them. */
import { expect, test } from "bun:test";
import { formatGateways } from "../../../src/cli/commands/gateways.ts";
import { describePlan } from "../../../src/cli/commands/dry-run.ts";
import { formatOutdated, formatStatus } from "../../../src/cli/commands/status.ts";
import { clusterStatus, failoverEntry, host, service } from "../../support/gateway/status.ts";

test("an answer that is not the present is marked as outdated, with its age", () => {
  expect(formatOutdated({ text: "gateway g1\n", at: 1_000 }, 6_000)).toBe("\nOUTDATED, as of 5 s ago:\n\ngateway g1\n");
  expect(formatOutdated(undefined, 6_000)).toBe("");
});

test("a checkpoint that is being written says how far it is, and of a host that is down nothing", () => {
  const checkpointProgress = {
    bytes: 50 * 2 ** 20,
    totalBytes: 200 * 2 ** 20,
    bytesPerSecond: 2 ** 20,
    leftMs: 150_000,
  };
  const line = "  a: writing a checkpoint: 50 MiB of 200 MiB, 1.0 MiB/s, about 3 min left\n";
  const shown = (health: "up" | "down") =>
    formatStatus(clusterStatus({ services: [service({ hosts: [host({ health, checkpointProgress })] })] }), 0, 200);
  expect(shown("up")).toContain(line);
  expect(shown("down")).not.toContain("writing a checkpoint");
});

test("the list of gateways says how many must agree", () => {
  const list = (registered: number) => formatGateways({ gateways: [], registered, troubles: [] });
  expect(list(1)).toContain("this gateway decides alone");
  expect(list(2)).toContain("2 of 2 gateways must see a primary down");
  expect(list(3)).toContain("2 of 3 gateways must see a primary down");
});

const shown = (change: Parameters<typeof service>[0]): string =>
  formatStatus(clusterStatus({ connections: 1, services: [service(change)] }), 0);

test("a primary that is lost is the last one, and one of a thing is no plural", () => {
  expect(shown({ phase: "down", primary: "a" })).toContain("service notes: down, last primary a,");
  expect(shown({ phase: "serving", primary: "a" })).toContain("service notes: serving, primary a,");
  expect(shown({})).toContain(", 1 connection\n");
  expect(shown({ waiting: { ...service().waiting, requests: 1 } })).toContain(", 1 request waiting");
});

test("what a host reports of its vault does not stand again beside the impairment that it causes", () => {
  const why = "file:///mnt/vault has no identity.json any more";
  const text = shown({ hosts: [host({ id: "a", notes: [why, `vault impaired for 13 s: ${why}`] })] });
  expect(text.split(why)).toHaveLength(2);
});

test("why an application did not start stands once, whatever follows from it", () => {
  const why = 'application "bun app.ts": it was not ready within 30000 ms';
  const notes = [`candidate of last resort: ${why}`, `did not become primary after the bootstrap: ${why}`];
  expect(shown({ failovers: [], hosts: [host({ id: "a", notes })] }).split("it was not ready")).toHaveLength(2);
  const entry = failoverEntry({ kind: "stepped-down", cause: `${why} (it listens on *:1)` });
  expect(shown({ failovers: [entry] })).not.toContain("it listens on");
});

test("a failover is listed with its cause, and what became of one that another took over", () => {
  const entry = failoverEntry({ kind: "kill", outcome: "overtaken", cause: "its host process was gone" });
  expect(shown({ failovers: [entry] })).toMatch(/overtaken by another failover \(its host process was gone/);
});

test("a dry run names the hosts together that cannot take over for the same reason", () => {
  const plan = describePlan({
    ...{ service: "notes", phase: "down", primary: "a", epoch: 3, wouldPromote: null, order: [], but: [] },
    whyNot: ["a", "b"].map((id) => ({ host: id, why: "down: nothing listens at its control address" })),
    ...{ obstacles: [], forceMayLose: "nothing", expected: [] },
  });
  expect(plan).toStartWith("service notes: down, last primary a, epoch 3\nno host could take over\n");
  expect(plan).toContain("not a, b: down: nothing listens");
});
