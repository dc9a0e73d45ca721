/** The objects that the faults of a chaos run act on, and how the faults draw from them. */
import type { Cluster, GatewayMember, HostMember } from "../harness/cluster.ts";
import type { SeededRandom } from "../harness/seeded-random.ts";
import type { Namespaces } from "../test/e2e/netns/namespaces.ts";
import type { VaultAccess } from "../test/e2e/netns/vault-access.ts";
import type { SmallDisk } from "./chaos-disk.ts";

export interface ChaosWorld {
  readonly cluster: Cluster;
  readonly service: string;
  /** Undefined where namespaces cannot be made. */
  readonly network: Namespaces | undefined;
  readonly vaultAccess: VaultAccess | undefined;
  readonly vaultDisk: SmallDisk | undefined;
  /** Of hosts and gateways, by id. */
  readonly disks: ReadonlyMap<string, SmallDisk>;
  /** Members that a fault holds: no other fault acts on them, and the run does not restart them. */
  readonly taken: Set<string>;
}

export interface Fault {
  readonly kind: string;
  /** For the log: `host-2`, `gateway-1 -> host-1`. */
  readonly on: string;
  readonly lastsMs: number;
  readonly takes: readonly string[];
  begin(): Promise<void>;
  mend(): Promise<void>;
}

/** Makes a fault; undefined when the drawn one is not possible right now. */
export type Maker = (world: ChaosWorld, dice: SeededRandom) => Promise<Fault | undefined>;

export const nothing = (): Promise<void> => Promise.resolve();
export const within = (dice: SeededRandom, minMs: number, maxMs: number): number =>
  Math.round(minMs + dice.fraction() * (maxMs - minMs));

/** The primary half of the time, otherwise any; undefined when the drawn one is taken. */
export async function drawHost(world: ChaosWorld, dice: SeededRandom): Promise<HostMember | undefined> {
  const wantsPrimary = dice.fraction() < 0.5;
  const any = world.cluster.hosts[dice.below(world.cluster.hosts.length)];
  const drawn = wantsPrimary ? ((await world.cluster.primary())?.host ?? any) : any;
  return drawn === undefined || world.taken.has(drawn.id) || drawn.process?.end !== undefined ? undefined : drawn;
}

/** Undefined when there is none, or it is taken. */
export async function drawPrimary(world: ChaosWorld): Promise<HostMember | undefined> {
  const host = (await world.cluster.primary())?.host;
  return host === undefined || world.taken.has(host.id) || host.process?.end !== undefined ? undefined : host;
}

export function drawGateway(world: ChaosWorld, dice: SeededRandom): GatewayMember | undefined {
  const drawn = world.cluster.gateways[dice.below(world.cluster.gateways.length)];
  return drawn === undefined || world.taken.has(drawn.id) || drawn.process?.end !== undefined ? undefined : drawn;
}
