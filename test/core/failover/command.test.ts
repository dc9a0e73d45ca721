import { expect, test } from "bun:test";
import { dryRun } from "../../../src/core/failover/command.ts";
import type { Command } from "../../../src/core/failover/state.ts";
import { Scenario } from "../../support/core/failover-scenario.ts";

const sent = (s: Scenario, command: Command): Scenario => s.send({ kind: "command", id: "1", command });
const lonely = (): Scenario =>
  new Scenario().register("a", "b").hears("a", { role: "primary" }).hears("b", { nofailover: true });

test("an order that no host can carry out says to start one; one for a host says where to look", () => {
  const any = sent(lonely(), { kind: "switchover", target: undefined });
  expect(any.all("reply")).toMatchObject([{ outcome: { advice: expect.stringMatching(/^start a host/) } }]);
  const named = sent(lonely(), { kind: "switchover", target: "x" });
  expect(named.all("reply")).toMatchObject([
    { outcome: { advice: expect.stringMatching(/^see `stead failover --dry/) } },
  ]);
});

const rewind = { kind: "rewind", id: "r1", epoch: 1 } as const;

test("a rewind has the primary step down with what it prepared, for the best host", () => {
  const s = sent(Scenario.serving(), rewind);
  expect(s.all("demote")).toMatchObject([{ host: "a", epoch: 1, reason: "rewind", rewind: "r1", successor: "b" }]);
  s.send({ kind: "demoted", call: s.call });
  expect(s.all("promote")).toMatchObject([{ host: "b", planned: true }]);
  s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:1/b" });
  expect(s.all("reply")).toMatchObject([
    { outcome: { kind: "done", failover: { kind: "rewind", from: "a", to: "b" } } },
  ]);
});

test("a rewind for a primary that was replaced since is refused: what it prepared is with another one", () => {
  const s = sent(Scenario.serving(), { ...rewind, epoch: 0 });
  expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused", why: expect.stringContaining("epoch 0") } }]);
  expect(s.all("demote")).toEqual([]);
});

test("a rewind of a single host is answered once that host serves again, also in a pause", () => {
  const s = new Scenario().register("a").hears("a", { role: "primary" });
  sent(s, { kind: "pause" });
  s.take("reply");
  sent(s, rewind);
  expect(s.all("demote")).toMatchObject([{ host: "a", successor: undefined, rewind: "r1" }]);
  s.send({ kind: "demoted", call: s.call });
  expect(s.state.phase.kind).toBe("down");
  expect(s.all("reply")).toEqual([]);
  s.after(2_000).hears("a", { role: "secondary", epoch: 1, position: 20 });
  expect(s.all("promote")).toMatchObject([{ host: "a", planned: true }]);
  s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:1/a" });
  expect(s.all("reply")).toMatchObject([{ outcome: { kind: "done", primary: "a", epoch: 2 } }]);
});

test("a dry run of a paused service says until when: an order to resume, or a time", () => {
  const forever = sent(Scenario.serving(), { kind: "pause" });
  expect(dryRun(forever.state, forever.now).obstacles[0]).toContain("by itself until `stead resume`");
  const terms = { reason: undefined, untilMs: 5_000, words: "for a moment" };
  const ending = sent(Scenario.serving(), { kind: "pause", terms });
  expect(dryRun(ending.state, ending.now).obstacles[0]).toContain("by itself until then, or `stead resume`");
});
