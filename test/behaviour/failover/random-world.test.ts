import { describe, expect, test } from "bun:test";
import { World } from "../../support/core/failover-world.ts";

const healthyMs = 3_000;
const faultsMs = 20_000;
const healMs = 15_000;

function misfortune(world: World): void {
  const host = world.pick(world.hosts);
  const gateway = world.pick(world.gateways);
  const other = world.pick([...world.hosts, ...world.gateways]);
  const faults: (() => void)[] = [
    () => world.crash(host),
    () => world.crash(host),
    () => world.restart(host),
    () => world.restart(host),
    () => world.hang(host),
    () => world.wakeUp(host),
    () => world.cut.add(`${gateway.id} ${other.id}`),
    () => world.cut.clear(),
    () => world.send(gateway, { kind: "command", id: "s", command: { kind: "switchover", target: undefined } }),
    () =>
      world.send(gateway, {
        kind: "command",
        id: "f",
        command: { kind: "failover", target: undefined, force: world.chance(0.3) },
      }),
    () =>
      world.send(gateway, {
        kind: "command",
        id: "p",
        command: world.chance(0.5) ? { kind: "pause" } : { kind: "resume" },
      }),
    () => world.send(gateway, { kind: "data-error", host: host.id, cause: "reset" }),
    () => world.hosts.forEach((each) => world.crash(each)),
  ];
  world.pick(faults)();
  world.after(world.between(5, 1500), () => {
    if (world.now < healthyMs + faultsMs) misfortune(world);
  });
}

function isServed(world: World): string {
  const owner = world.hosts.find(({ id }) => id === world.log.owner);
  if (owner?.role !== "primary") return `the owner of epoch ${world.log.epoch} is ${owner?.role ?? "unknown"}`;
  for (const { id, state } of world.gateways) {
    const { phase, routed } = state;
    const fine =
      phase.kind === "serving" &&
      routed.kind === "host" &&
      routed.host === owner.id &&
      routed.epoch === world.log.epoch;
    if (!fine)
      return `${id} is ${phase.kind}, routed to ${routed.kind === "host" ? `${routed.host} ${routed.epoch}` : "no host"}; the primary is ${owner.id} ${world.log.epoch}`;
  }
  return "served";
}

const transitions = new Set<string>();

describe("gateways in a world of faults", () => {
  test("do not replace a healthy primary", () => {
    for (const gateways of [1, 2, 3]) {
      const world = new World(gateways, 3, gateways);
      world.runUntil(healthyMs + 60_000);
      expect(isServed(world)).toBe("served");
      expect(world.promotions).toBe(1);
    }
  });

  test("do not race a switchover that one of them was told to do", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = new World(seed, 3, 3);
      world.runUntil(healthyMs);
      const [first, ...others] = world.gateways;
      const ordersOf = (gateways: typeof others): number => gateways.reduce((sum, { calls }) => sum + calls.size, 0);
      const before = ordersOf(others);
      const promotedBefore = world.promotions;
      if (first !== undefined)
        world.send(first, { kind: "command", id: "s", command: { kind: "switchover", target: undefined } });
      world.runUntil(healthyMs + 10_000);
      expect(`seed ${seed}: ${isServed(world)} after ${world.promotions - promotedBefore} promotions`).toBe(
        `seed ${seed}: served after 1 promotions`,
      );
      expect(`seed ${seed}: ${ordersOf(others) - before} orders of the others`).toBe(
        `seed ${seed}: 0 orders of the others`,
      );
    }
  });

  for (const gateways of [1, 2, 3]) {
    test(`${gateways} of them never get stuck: once the faults are over, every gateway routes to the one primary`, () => {
      for (let seed = 1; seed <= 70; seed++) {
        const world = new World(seed, 3, gateways);
        world.runUntil(healthyMs);
        misfortune(world);
        world.runUntil(healthyMs + faultsMs);
        world.heal();
        world.runUntil(healthyMs + faultsMs + healMs);
        for (const transition of world.transitions) transitions.add(transition);
        expect(`seed ${seed}: ${isServed(world)}`).toBe(`seed ${seed}: served`);
        const before = world.promotions;
        world.runUntil(world.now + 20_000);
        expect(`seed ${seed}: ${world.promotions - before} promotions when all is well`).toBe(
          `seed ${seed}: 0 promotions when all is well`,
        );
      }
    });
  }

  test("went through every legal change of phase that events can cause", () => {
    const seen = [...transitions].sort();
    for (const change of [
      "unknown -> agreeing",
      "unknown -> promoting",
      "awaiting -> serving",
      "awaiting -> suspect",
      "serving -> suspect",
      "serving -> awaiting",
      "serving -> demoting",
      "serving -> promoting",
      "suspect -> serving",
      "suspect -> awaiting",
      "suspect -> promoting",
      "agreeing -> promoting",
      "agreeing -> awaiting",
      "agreeing -> serving",
      "promoting -> serving",
      "promoting -> awaiting",
      "promoting -> down",
      "demoting -> promoting",
      "down -> serving",
      "down -> awaiting",
      "down -> promoting",
    ]) {
      expect(seen).toContain(change);
    }
  });
});
