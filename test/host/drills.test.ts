import { expect, test } from "bun:test";
import type { SupervisedApplication } from "../../src/host/application/supervised-application.ts";
import { beginDrill } from "../../src/host/drills.ts";
import { Partition } from "../../src/host/machine/partition.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

const primary = { kind: "primary", epoch: 1, servesSince: 0 } as const;

function begin(isRestarted: boolean) {
  const clock = new ManualClock();
  const killed: number[] = [];
  const ports = { partition: new Partition(clock), isRestarted, killProcess: () => void killed.push(clock.now()) };
  const frozen: number[] = [];
  const application = {
    freeze: (forMs: number) => frozen.push(forMs) > 0,
  } as unknown as SupervisedApplication;
  return { clock, killed, ports, frozen, application };
}

test("a kill answers first, and is refused where nothing starts the host again", () => {
  const { clock, killed, ports, application } = begin(true);
  expect(beginDrill({ kind: "kill", forMs: 1_000 }, primary, application, { ports, clock }).kind).toBe("done");
  expect(killed).toEqual([]);
  clock.advance(100);
  expect(killed.length).toBe(1);
  const alone = begin(false);
  const outcome = beginDrill({ kind: "kill", forMs: 1_000 }, primary, application, alone);
  expect(outcome).toMatchObject({ kind: "refused", refusal: { reason: expect.stringContaining("restarts = true") } });
  alone.clock.advance(60_000);
  expect(alone.killed).toEqual([]);
});

test("a hang stops the application, and a partition silences the host, each for the time that was asked for", () => {
  const { clock, ports, frozen, application } = begin(false);
  beginDrill({ kind: "hang", forMs: 7_000 }, primary, application, { ports, clock });
  expect(frozen).toEqual([7_000]);
  beginDrill({ kind: "partition", forMs: 5_000 }, primary, application, { ports, clock });
  clock.advance(100);
  expect(ports.partition.over).toBeDefined();
  clock.advance(5_000);
  expect(ports.partition.over).toBeUndefined();
});

test("only a primary is drilled", () => {
  const { clock, ports, frozen, application } = begin(true);
  const outcome = beginDrill({ kind: "hang", forMs: 7_000 }, { kind: "secondary" }, application, { ports, clock });
  expect(outcome).toMatchObject({ kind: "refused" });
  expect(frozen).toEqual([]);
});
