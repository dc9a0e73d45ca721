/**
 * Faults as data: a schedule is drawn before the history begins, so it can be printed, replayed, and shrunk.
 *
 * `who` is a host by number, or "primary": the host that is primary when the fault begins. Everything heals by itself
 * after `forMs`, and at the latest when the healing phase begins.
 */
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { Poison } from "./messages.ts";
import type { SimOptions } from "./options.ts";
import type { ApplicationTrouble, HookTrouble } from "./sim-machine.ts";
import type { Trouble } from "./sim-vault.ts";

export type Who = "primary" | number;

export type FaultKind =
  | { readonly kind: "kill"; readonly who: Who }
  | { readonly kind: "freeze"; readonly who: Who; readonly withApplication: boolean }
  | { readonly kind: "power"; readonly who: Who }
  | { readonly kind: "power-all"; readonly withVault: boolean }
  /** The vault's power fails, alone or together with a host; it is away meanwhile. */
  | { readonly kind: "vault-power"; readonly who: Who | "none" }
  | { readonly kind: "kill-gateway"; readonly gateway: number; readonly database: GatewayDatabase }
  | { readonly kind: "freeze-gateway"; readonly gateway: number }
  /** A host from all gateways, hosts, or both; the vault stays. */
  | { readonly kind: "isolate-host"; readonly who: Who; readonly direction: Direction }
  | {
      readonly kind: "isolate-gateway";
      readonly gateway: number;
      readonly direction: Direction;
      readonly onlyPrimary: boolean;
      readonly withPeers: boolean;
    }
  /** An operator pauses automation at one gateway, and resumes it at another one. */
  | { readonly kind: "pause"; readonly gateway: number; readonly resumeAt: number }
  | { readonly kind: "priority"; readonly gateway: number; readonly who: number; readonly priority: number }
  /** On and off, about as fast as detection is. */
  | { readonly kind: "flap"; readonly who: Who; readonly periodMs: number }
  | { readonly kind: "slow-link"; readonly who: Who; readonly factor: number }
  | { readonly kind: "vault"; readonly who: Who | "all"; readonly trouble: Exclude<Trouble, "none"> }
  | { readonly kind: "switchover"; readonly gateway: number }
  | { readonly kind: "force"; readonly gateway: number }
  | { readonly kind: "restart"; readonly who: Who }
  /** Another version of the host's program is installed, and the host restarted. Only in scenarios. */
  | { readonly kind: "install"; readonly who: number; readonly isEarlier: boolean }
  | { readonly kind: "application-crash"; readonly who: Who }
  | { readonly kind: "application-freeze"; readonly who: Who }
  /**
   * The application as it is installed there, or everywhere, does not start, is never ready, or ends again and again.
   */
  | {
      readonly kind: "application-broken";
      readonly who: Who | "all";
      readonly how: Exclude<ApplicationTrouble, "none">;
    }
  /** An operator's hooks there, or everywhere, fail or hang. Only in scenarios. */
  | { readonly kind: "hooks-broken"; readonly who: Who | "all"; readonly how: Exclude<HookTrouble, "none"> }
  /** A client asks for something on which the application ends, or answers what must be refused. */
  | { readonly kind: "poison"; readonly gateway: number; readonly how: Poison }
  | { readonly kind: "checkpoint"; readonly who: Who }
  | { readonly kind: "lost-continuity"; readonly who: Who }
  /** Waits for a host in this state, and hits it there, at its very beginning or so long after it. */
  | {
      readonly kind: "strike";
      readonly role: StrikeRole;
      readonly how: "kill" | "freeze" | "power" | "restart";
      readonly afterMs: number;
    };

export type StrikeRole = "claiming" | "starting" | "draining" | "restoring";

/** What a gateway finds when it starts again: what it wrote, what it wrote before its last start, or nothing. */
export type GatewayDatabase = "kept" | "old" | "deleted";

export type Direction = "both" | "in" | "out";

export type Fault = FaultKind & { readonly atMs: number; readonly forMs: number };

/** As often as they are to be drawn. */
const kinds: readonly FaultKind["kind"][] = [
  ...([
    "kill",
    "kill",
    "kill",
    "freeze",
    "freeze",
    "power",
    "power-all",
    "vault-power",
    "kill-gateway",
    "freeze-gateway",
  ] as const),
  ...([
    "isolate-host",
    "isolate-host",
    "isolate-gateway",
    "flap",
    "slow-link",
    "vault",
    "vault",
    "switchover",
    "switchover",
  ] as const),
  ...([
    "force",
    "restart",
    "application-crash",
    "application-freeze",
    "application-broken",
    "poison",
    "checkpoint",
    "lost-continuity",
    "strike",
    "strike",
    "pause",
    "priority",
  ] as const),
];

export const faultKinds: readonly FaultKind["kind"][] = [...new Set(kinds)];

const minorityKinds: readonly FaultKind["kind"][] = [
  "kill-gateway",
  "freeze-gateway",
  "isolate-gateway",
  "isolate-gateway",
  "checkpoint",
];

/** A schedule for one history: first which kinds there are at all, then when they come. */
export function drawFaults(dice: SeededRandom, options: SimOptions, startMs: number): Fault[] {
  const faults: Fault[] = [];
  const allowed = options.isWell ? minorityKinds : kinds.filter(() => dice.chance(0.5));
  if (allowed.length === 0) return faults;
  for (
    let atMs = startMs + dice.around(options.faultEveryMs);
    atMs < startMs + options.faultyMs;
    atMs += dice.around(options.faultEveryMs)
  ) {
    faults.push({
      ...drawKind(dice, options, dice.pick(allowed)),
      atMs: Math.round(atMs),
      forMs: Math.round(drawDuration(dice, options)),
    });
  }
  return faults;
}

/** Around what matters: the detection time, the lease, and much longer. */
function drawDuration(dice: SeededRandom, { leaseMs }: SimOptions): number {
  return dice.pick([
    dice.between(1, 100),
    dice.between(50, 2 * leaseMs),
    leaseMs * dice.between(0.8, 1.3),
    dice.around(1_500),
    dice.between(2_000, 6_000),
  ]);
}

function drawKind(dice: SeededRandom, options: SimOptions, kind: FaultKind["kind"]): FaultKind {
  const who: Who = dice.chance(0.6) ? "primary" : dice.int(0, options.hosts - 1);
  const gateway = options.isWell ? 0 : dice.int(0, options.gateways - 1);
  const direction = dice.pick(["both", "both", "in", "out"] as const);
  switch (kind) {
    case "freeze":
      return { kind, who, withApplication: dice.chance(0.5) };
    case "kill-gateway":
      return { kind, gateway, database: dice.pick(["kept", "kept", "old", "deleted"] as const) };
    case "isolate-host":
      return { kind, who, direction };
    case "isolate-gateway":
      return { kind, gateway, direction, onlyPrimary: dice.chance(0.5), withPeers: dice.chance(0.3) };
    case "flap":
      return { kind, who, periodMs: dice.between(0.3, 2) * options.probeIntervalMs };
    case "slow-link":
      return { kind, who, factor: dice.pick([10, 100, 1_000]) };
    case "vault":
      return {
        kind,
        who: dice.chance(0.3) ? "all" : who,
        trouble: dice.pick(["away", "away", "full", "slow", "ambiguous"] as const),
      };
    case "application-broken":
      return { kind, who: dice.chance(0.3) ? "all" : who, how: dice.pick(["ends", "never-ready", "crashes"] as const) };
    case "kill":
    case "power":
    case "restart":
    case "application-crash":
    case "application-freeze":
    case "checkpoint":
    case "lost-continuity":
      return { kind, who };
    case "strike":
      return {
        kind,
        role: dice.pick(["claiming", "claiming", "starting", "draining", "restoring"] as const),
        how: dice.pick(["kill", "freeze", "freeze", "power", "restart"] as const),
        afterMs: dice.pick([0, dice.between(0, 2), dice.around(20)]),
      };
    case "freeze-gateway":
    case "switchover":
    case "force":
      return { kind, gateway };
    case "poison":
      return { kind, gateway, how: dice.pick(["ends", "ends", "invalid"] as const) };
    case "pause":
      return { kind, gateway, resumeAt: dice.int(0, options.gateways - 1) };
    case "priority":
      return { kind, gateway, who: dice.int(0, options.hosts - 1), priority: dice.int(0, 3) };
    case "power-all":
      return { kind, withVault: dice.chance(0.5) };
    case "vault-power":
      return { kind, who: dice.chance(0.5) ? who : "none" };
    case "install":
    case "hooks-broken":
      throw new Error(`${kind} is not drawn`);
  }
}

export function describeFault(fault: Fault): string {
  const { kind, atMs, forMs, ...rest } = fault;
  const details = Object.entries(rest).map(([key, value]) => `${key}=${String(value)}`);
  return `at ${atMs} ms for ${forMs} ms: ${[kind, ...details].join(" ")}`;
}
