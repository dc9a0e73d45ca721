/** The partitions, each with what it must come to. */
import { systemClock } from "../../../src/runtime/clock.ts";
import type { Stage } from "./stage.ts";
import type { VaultCut } from "./vault-access.ts";

export interface Scenario {
  readonly name: string;
  readonly gateways: number;
  /** How many; null: whatever it is, nothing is lost and clients are served again. */
  readonly failovers: number | null;
  /** At most so many, where two gateways that act at the same moment may each order one. */
  readonly failoversMost?: number;
  /** Takes the vault away from a single host. */
  readonly needsVaultCut: boolean;
  faults(stage: Stage): Promise<void>;
}

/** A fault that must not cause a failover lasts so long: several times what detection takes at the default settings. */
const faultMs = 4_000;
/** After a failover the fault lasts so much longer, so that the old primary, cut off, has time for mischief. */
const mischiefMs = 1_500;

const last = (ms: number): Promise<void> => systemClock.sleep(ms);

async function untilReplaced(stage: Stage): Promise<void> {
  await stage.newPrimary();
  await last(mischiefMs);
}

const plain = { gateways: 1, needsVaultCut: false };

const oneGateway: readonly Scenario[] = [
  {
    ...plain,
    name: "primary cut from the gateway, not from the vault",
    failovers: 1,
    async faults(stage) {
      await stage.network.cut([stage.primary], stage.gateways);
      await untilReplaced(stage);
    },
  },
  {
    ...plain,
    name: "primary cut from the gateway and all hosts, not from the vault",
    failovers: 1,
    async faults(stage) {
      await stage.network.cut([stage.primary], [...stage.gateways, ...stage.secondaries]);
      await untilReplaced(stage);
    },
  },
  {
    ...plain,
    name: "primary cut from everything",
    needsVaultCut: true,
    failovers: 1,
    async faults(stage) {
      await Promise.all([
        stage.network.cut([stage.primary], [...stage.gateways, ...stage.secondaries]),
        stage.vault.cut(stage.primary, stage.pidOf(stage.primary), "hang"),
      ]);
      await untilReplaced(stage);
    },
  },
  {
    ...plain,
    name: "gateway cut from all secondaries",
    failovers: 0,
    async faults(stage) {
      await stage.network.cut(stage.gateways, stage.secondaries);
      await last(faultMs);
    },
  },
  {
    ...plain,
    name: "primary cut from all secondaries, gateway sees all hosts",
    failovers: 0,
    async faults(stage) {
      await stage.network.cut([stage.primary], stage.secondaries);
      await last(faultMs);
    },
  },
  {
    ...plain,
    name: "one-way: gateway to primary is lost",
    failovers: 1,
    async faults(stage) {
      await stage.network.cutOneWay(stage.gateways, [stage.primary]);
      await untilReplaced(stage);
    },
  },
  {
    ...plain,
    name: "one-way: primary to gateway is lost",
    failovers: 1,
    async faults(stage) {
      await stage.network.cutOneWay([stage.primary], stage.gateways);
      await untilReplaced(stage);
    },
  },
  {
    ...plain,
    name: "one-way: secondaries to gateway is lost",
    failovers: 0,
    async faults(stage) {
      await stage.network.cutOneWay(stage.secondaries, stage.gateways);
      await last(faultMs);
    },
  },
  {
    ...plain,
    name: "gateway cut from all hosts",
    failovers: 0,
    async faults(stage) {
      await stage.network.cut(stage.gateways, stage.hosts);
      await last(faultMs);
    },
  },
  ...(["hang", "error", "read-only", "unmounted"] as const).map((kind) => vaultOnly(kind)),
];

function vaultOnly(kind: VaultCut): Scenario {
  return {
    ...plain,
    name: `primary cut from the vault only (${kind})`,
    needsVaultCut: true,
    failovers: null,
    async faults(stage) {
      await stage.vault.cut(stage.primary, stage.pidOf(stage.primary), kind);
      await last(faultMs);
    },
  };
}

const three = { gateways: 3, needsVaultCut: false };

const severalGateways: readonly Scenario[] = [
  {
    ...three,
    name: "primary cut from one gateway of three",
    failovers: 0,
    async faults(stage) {
      await stage.network.cut([stage.primary], stage.gateways.slice(0, 1));
      await last(faultMs);
    },
  },
  {
    ...three,
    name: "primary cut from two gateways of three",
    failovers: 1,
    failoversMost: 2,
    async faults(stage) {
      await stage.network.cut([stage.primary], stage.gateways.slice(0, 2));
      await untilReplaced(stage);
    },
  },
  {
    ...three,
    name: "primary cut from all gateways, not from the vault",
    failovers: 1,
    failoversMost: 2,
    async faults(stage) {
      await stage.network.cut([stage.primary], stage.gateways);
      await untilReplaced(stage);
    },
  },
  {
    ...three,
    name: "primary cut from everything",
    needsVaultCut: true,
    failovers: 1,
    failoversMost: 2,
    async faults(stage) {
      await Promise.all([
        stage.network.cut([stage.primary], [...stage.gateways, ...stage.secondaries]),
        stage.vault.cut(stage.primary, stage.pidOf(stage.primary), "hang"),
      ]);
      await untilReplaced(stage);
    },
  },
  {
    ...three,
    name: "gateways cut from each other, primary well",
    failovers: 0,
    async faults(stage) {
      await stage.network.cutOneWay(stage.gateways, stage.gateways);
      await last(faultMs);
    },
  },
  {
    ...three,
    name: "gateways cut from each other, one of them from the primary too",
    failovers: 0,
    async faults(stage) {
      await stage.network.cutOneWay(stage.gateways, stage.gateways);
      await stage.network.cut([stage.primary], stage.gateways.slice(0, 1));
      await last(faultMs);
    },
  },
  {
    ...three,
    name: "gateways cut from all secondaries",
    failovers: 0,
    async faults(stage) {
      await stage.network.cut(stage.gateways, stage.secondaries);
      await last(faultMs);
    },
  },
  {
    ...three,
    name: "one-way: two gateways of three to primary are lost",
    failovers: 1,
    failoversMost: 2,
    async faults(stage) {
      await stage.network.cutOneWay(stage.gateways.slice(0, 2), [stage.primary]);
      await untilReplaced(stage);
    },
  },
  {
    ...three,
    name: "one-way: primary to one gateway of three is lost",
    failovers: 0,
    async faults(stage) {
      await stage.network.cutOneWay([stage.primary], stage.gateways.slice(0, 1));
      await last(faultMs);
    },
  },
  {
    ...three,
    gateways: 2,
    name: "of two gateways one dies together with the primary",
    failovers: 1,
    async faults(stage) {
      const dead = [stage.primary, stage.gateways[1] ?? ""];
      await stage.kill(dead);
      await untilReplaced(stage);
      await stage.restart(dead);
    },
  },
  {
    ...three,
    gateways: 2,
    name: "one gateway of two cut from the primary and from its peer",
    failovers: 0,
    async faults(stage) {
      await stage.network.cut(stage.gateways.slice(0, 1), [stage.primary, ...stage.gateways.slice(1)]);
      await last(faultMs);
    },
  },
];

export const scenarios: readonly Scenario[] = [...oneGateway, ...severalGateways];
