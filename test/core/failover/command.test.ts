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

test("a dry run of a paused service says until when: an order to resume, or a time", () => {
  const forever = sent(Scenario.serving(), { kind: "pause" });
  expect(dryRun(forever.state, forever.now).obstacles[0]).toContain("by itself until `stead resume`");
  const terms = { reason: undefined, untilMs: 5_000, words: "for a moment" };
  const ending = sent(Scenario.serving(), { kind: "pause", terms });
  expect(dryRun(ending.state, ending.now).obstacles[0]).toContain("by itself until then, or `stead resume`");
});
