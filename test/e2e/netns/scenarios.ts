/** The partitions, each with what it must come to. */
import { systemClock } from "../../../src/runtime/clock.ts";
import type { Stage } from "./stage.ts";
import type { VaultCut } from "./vault-access.ts";

export interface Scenario {
  readonly name: string;
  readonly gateways: number;
  /** The exact number; null: whatever it is, nothing is lost and clients are served again. */
  readonly failovers: number | null;
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
      await Promise.all([stage.network.cut([stage.primary], [...stage.gateways, ...stage.secondaries]), stage.vault.cut(stage.primary, stage.pidOf(stage.primary), "hang")]);
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
    name: "primary cut from all secondaries, gateway sees everybody",
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

export const scenarios: readonly Scenario[] = [...oneGateway];
