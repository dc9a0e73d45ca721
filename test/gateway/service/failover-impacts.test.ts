import { expect, test } from "bun:test";
import type { ServiceState } from "../../../src/core/failover/state.ts";
import { Traffic } from "../../../src/gateway/route/traffic.ts";
import { type FailoverImpact, FailoverImpacts } from "../../../src/gateway/service/failover-impacts.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

function watched() {
  const clock = new ManualClock();
  const traffic = new Traffic(clock);
  const found: FailoverImpact[] = [];
  const impacts = new FailoverImpacts(clock, traffic, (impact) => void found.push(impact));
  const at = (phase: "serving" | "suspect" | "agreeing" | "awaiting", epoch: number): void =>
    impacts.look({
      phase: { kind: phase },
      primary: { host: "a", epoch },
      routed: { kind: "host" },
    } as unknown as ServiceState);
  return { clock, traffic, found, at, impacts };
}

test("counts the requests that the end of an epoch concerned, also those just before it was noticed and just after", () => {
  const { clock, traffic, found, at } = watched();
  at("awaiting", 0);
  at("serving", 1);
  traffic.ended("unknown", false, 0, 5);
  clock.advance(60_000);
  traffic.ended("unknown", false, 0, 2);
  clock.advance(100);
  at("suspect", 1);
  traffic.ended("failed", false, 0, 1);
  at("agreeing", 1);
  clock.advance(500);
  at("serving", 2);
  traffic.ended("ok", true, 1, 7);
  expect(found).toEqual([]);
  clock.advance(2_000);
  expect(found).toEqual([{ epochFrom: 1, held: 7, replayed: 7, unknown: 2, failed: 1 }]);
  traffic.ended("unknown", false, 0, 3);
  clock.advance(60_000);
  expect(found.length).toBe(1);
});

test("a doubt that ends in the same epoch, and an end that no request noticed, count for nothing", () => {
  const { clock, traffic, found, at } = watched();
  at("serving", 1);
  at("suspect", 1);
  traffic.ended("failed", false, 0, 1);
  at("serving", 1);
  clock.advance(10_000);
  at("serving", 2);
  clock.advance(10_000);
  expect(found).toEqual([]);
});

test("of two ends in a row each request counts once", () => {
  const { clock, traffic, found, at, impacts } = watched();
  at("serving", 1);
  clock.advance(10_000);
  at("agreeing", 1);
  traffic.ended("ok", true, 0, 3);
  at("serving", 2);
  clock.advance(500);
  at("agreeing", 2);
  traffic.ended("ok", true, 0, 4);
  at("serving", 3);
  impacts.close();
  expect(found.map(({ epochFrom, held }) => [epochFrom, held])).toEqual([
    [1, 3],
    [2, 4],
  ]);
});

test("a doubt in the next epoch that comes to nothing ends no count: its held requests end later", () => {
  const { clock, traffic, found, at } = watched();
  at("serving", 1);
  clock.advance(10_000);
  at("agreeing", 1);
  at("serving", 2);
  at("suspect", 2);
  at("serving", 2);
  traffic.ended("ok", true, 1, 4);
  clock.advance(2_000);
  expect(found).toEqual([{ epochFrom: 1, held: 4, replayed: 4, unknown: 0, failed: 0 }]);
});

test("a doubt that is still open when a count ends begins there", () => {
  const { clock, traffic, found, at, impacts } = watched();
  at("serving", 1);
  clock.advance(10_000);
  at("agreeing", 1);
  at("serving", 2);
  at("agreeing", 2);
  traffic.ended("ok", true, 0, 4);
  clock.advance(2_000);
  traffic.ended("ok", true, 0, 1);
  at("serving", 3);
  impacts.close();
  expect(found.map(({ epochFrom, held }) => [epochFrom, held])).toEqual([
    [1, 4],
    [2, 1],
  ]);
});
