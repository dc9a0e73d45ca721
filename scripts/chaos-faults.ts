/**
 * The faults of a chaos run: each begins, lasts a drawn time, and is mended again. A cluster must survive every one of
 * them.
 */
import type { Member } from "../harness/cluster.ts";
import type { SeededRandom } from "../harness/seeded-random.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { descendantsOf } from "../harness/process-table.ts";
import { systemClock } from "../src/runtime/clock.ts";
import type { VaultCut } from "../test/e2e/netns/vault-access.ts";
import { applicationFaults } from "./chaos-application.ts";
import {
  type ChaosWorld,
  drawGateway,
  drawHost,
  drawPrimary,
  type Fault,
  type Maker,
  nothing,
  within,
} from "./chaos-world.ts";

function kill(world: ChaosWorld, members: readonly Member[], kind: string, lastsMs: number): Fault {
  return {
    kind,
    on: members.map(({ id }) => id).join(", "),
    lastsMs,
    takes: members.map(({ id }) => id),
    async begin() {
      for (const { process } of members) process?.signal("SIGKILL");
      for (const { process } of members) await process?.ended;
    },
    async mend() {
      for (const member of members) await world.cluster.start(member);
    },
  };
}

const stop = (member: Member, kind: string, lastsMs: number): Fault => ({
  kind,
  on: member.id,
  lastsMs,
  takes: [member.id],
  begin: () => Promise.resolve(member.process?.signal("SIGSTOP")),
  mend: () => Promise.resolve(member.process?.signal("SIGCONT")),
});

/** The member's disk, with its databases and its log, has no byte left. */
function fill(kind: string, member: Member | undefined, world: ChaosWorld, dice: SeededRandom): Fault | undefined {
  const disk = world.disks.get(member?.id ?? "");
  if (member === undefined || disk === undefined) return undefined;
  return {
    kind,
    on: member.id,
    lastsMs: within(dice, 200, 4000),
    takes: [member.id],
    begin: () => disk.fill(),
    mend: () => Promise.resolve(disk.empty()),
  };
}

const makers: Readonly<Record<string, { readonly weight: number; readonly make: Maker }>> = {
  "kill-host": {
    weight: 5,
    make: async (world, dice) => {
      const host = await drawHost(world, dice);
      return host && kill(world, [host], "kill-host", within(dice, 200, 2500));
    },
  },
  "stop-host": {
    weight: 4,
    make: async (world, dice) => {
      const host = await drawHost(world, dice);
      return host && stop(host, "stop-host", within(dice, 150, 4000));
    },
  },
  "kill-application": {
    weight: 2,
    make: async (world, dice) => {
      const host = await drawPrimary(world);
      if (host === undefined) return undefined;
      const family = descendantsOf(host.process?.pid ?? 0);
      const victim = family[dice.below(family.length)];
      if (victim === undefined) return undefined;
      const begin = (): Promise<void> => {
        try {
          process.kill(victim.pid, "SIGKILL");
        } catch {
          // It has ended meanwhile.
        }
        return Promise.resolve();
      };
      return {
        kind: "kill-application",
        on: `${host.id} (process ${victim.pid} of ${family.length})`,
        lastsMs: within(dice, 100, 1000),
        takes: [host.id],
        begin,
        mend: nothing,
      };
    },
  },
  "kill-gateway": {
    weight: 2,
    make: (world, dice) => {
      const gateway = drawGateway(world, dice);
      return Promise.resolve(gateway && kill(world, [gateway], "kill-gateway", within(dice, 100, 2000)));
    },
  },
  "stop-gateway": {
    weight: 1,
    make: (world, dice) => {
      const gateway = drawGateway(world, dice);
      return Promise.resolve(gateway && stop(gateway, "stop-gateway", within(dice, 150, 3000)));
    },
  },
  "power-failure": {
    weight: 1,
    make: (world, dice) => {
      const all = [...world.cluster.hosts, ...world.cluster.gateways];
      if (all.some(({ id, process }) => world.taken.has(id) || process?.end !== undefined))
        return Promise.resolve(undefined);
      return Promise.resolve(kill(world, all, "power-failure", within(dice, 200, 1500)));
    },
  },
  switchover: {
    weight: 1,
    make: (world, dice) => {
      const gateway = drawGateway(world, dice);
      if (gateway === undefined) return Promise.resolve(undefined);
      const view = new GatewayView(gateway.adminUrl, world.cluster.secret, world.service, systemClock);
      const begin = (): Promise<void> => view.switchover(AbortSignal.timeout(20_000)).catch(() => undefined);
      return Promise.resolve({ kind: "switchover", on: gateway.id, lastsMs: 0, takes: [], begin, mend: nothing });
    },
  },
  "cut-network": {
    weight: 5,
    make: (world, dice) => {
      const { network } = world;
      if (network === undefined || world.taken.has("network")) return Promise.resolve(undefined);
      const all = dice.shuffled([...world.cluster.hosts, ...world.cluster.gateways].map(({ id }) => id));
      const size = dice.fraction() < 0.6 ? 1 : 1 + dice.below(all.length - 1);
      const [some, others] = [all.slice(0, size), all.slice(size)];
      const isOneWay = dice.fraction() < 0.3;
      return Promise.resolve({
        kind: isOneWay ? "cut-one-way" : "cut-network",
        on: `${some.join(", ")} ${isOneWay ? "->" : "|"} ${others.join(", ")}`,
        lastsMs: within(dice, 200, 5000),
        takes: ["network"],
        begin: () => (isOneWay ? network.cutOneWay(some, others) : network.cut(some, others)),
        mend: () => network.heal(),
      });
    },
  },
  "cut-vault": {
    weight: 4,
    make: async (world, dice) => {
      const { vaultAccess } = world;
      const host = await drawHost(world, dice);
      if (vaultAccess === undefined || host === undefined || world.taken.has("vault")) return undefined;
      const kind =
        (["hang", "error", "read-only", "unmounted"] as const satisfies readonly VaultCut[])[dice.below(4)] ?? "hang";
      const begin = (): Promise<void> => vaultAccess.cut(host.id, host.process?.pid ?? 0, kind);
      return {
        kind: `vault-${kind}`,
        on: host.id,
        lastsMs: within(dice, 200, 8000),
        takes: [host.id, "vault"],
        begin,
        mend: () => vaultAccess.heal(),
      };
    },
  },
  "freeze-vault": {
    weight: 2,
    make: (world, dice) => {
      const { vaultDisk } = world;
      if (vaultDisk === undefined || world.taken.has("disk")) return Promise.resolve(undefined);
      return Promise.resolve({
        kind: "freeze-vault",
        on: "vault",
        lastsMs: within(dice, 50, 3000),
        takes: ["disk"],
        begin: () => vaultDisk.freeze(),
        mend: () => vaultDisk.thaw(),
      });
    },
  },
  "slow-vault": {
    weight: 2,
    make: (world, dice) => {
      const { vaultDisk } = world;
      if (vaultDisk === undefined || world.taken.has("disk")) return Promise.resolve(undefined);
      const begin = (): Promise<void> => Promise.resolve(vaultDisk.slow(within(dice, 5, 150), within(dice, 5, 50)));
      return Promise.resolve({
        kind: "slow-vault",
        on: "vault",
        lastsMs: within(dice, 500, 8000),
        takes: ["disk"],
        begin,
        mend: () => vaultDisk.hurry(),
      });
    },
  },
  "fill-host": {
    weight: 1,
    make: async (world, dice) => fill("fill-host", await drawHost(world, dice), world, dice),
  },
  "fill-gateway": {
    weight: 1,
    make: (world, dice) => Promise.resolve(fill("fill-gateway", drawGateway(world, dice), world, dice)),
  },
  "fill-vault": {
    weight: 1,
    make: (world, dice) => {
      const { vaultDisk } = world;
      if (vaultDisk === undefined || world.taken.has("disk")) return Promise.resolve(undefined);
      const mend = (): Promise<void> => Promise.resolve(vaultDisk.empty());
      return Promise.resolve({
        kind: "fill-vault",
        on: "vault",
        lastsMs: within(dice, 200, 4000),
        takes: ["disk"],
        begin: () => vaultDisk.fill(),
        mend,
      });
    },
  },
  ...applicationFaults,
};

export const faultNames: readonly string[] = Object.keys(makers);

/** One of `names`; undefined when the drawn fault is not possible right now. */
export async function drawFault(
  world: ChaosWorld,
  dice: SeededRandom,
  names: readonly string[],
): Promise<Fault | undefined> {
  const drawable = Object.entries(makers).flatMap(([name, maker]) => (names.includes(name) ? [maker] : []));
  let drawn = dice.fraction() * drawable.reduce((total, { weight }) => total + weight, 0);
  for (const { weight, make } of drawable) {
    drawn -= weight;
    if (drawn < 0) return make(world, dice);
  }
  return undefined;
}
