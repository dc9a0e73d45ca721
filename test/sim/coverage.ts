/**
 * What histories have reached: transitions of the state machines, and pairs of faults that met. A transition that the
 * code allows and no history takes is a place that nothing has shown to be right, so it is listed; what cannot or need
 * not be reached is declared here, with its reason, and nowhere else.
 */
import { legalPhases } from "../../src/core/failover/transition.ts";
import type { Fault } from "./faults.ts";

type Machine = "host" | "gateway";

/** Of a host (src/core/host/life.ts). */
const hostTransitions = [
  ...[
    "restoring -> secondary",
    "secondary -> claiming",
    "secondary -> restoring",
    "claiming -> starting",
    "claiming -> secondary",
    "claiming -> restoring",
  ],
  ...["starting -> primary", "starting -> restoring", "starting -> draining"],
  ...["primary -> restoring", "primary -> draining", "draining -> restoring"],
];

/** Of a gateway's view of one service: as the code has them. */
const gatewayTransitions = Object.entries(legalPhases).flatMap(([from, all]) =>
  all.filter((to) => to !== from).map((to) => `${from} -> ${to}`),
);

/** Allowed by the code, and not expected here. */
export const excluded: Readonly<Record<string, string>> = {
  "host: restoring -> failed": "unlisted databases, or a second machine with the same id: neither is simulated",
  "host: secondary -> failed": "likewise",
  "host: primary -> failed": "likewise",
  "host: failed -> restoring": "likewise",
};

const declared: readonly string[] = [
  ...hostTransitions.map((each) => `host: ${each}`),
  ...gatewayTransitions.map((each) => `gateway: ${each}`),
];

/**
 * Two faults meet when the second comes while the first lasts, or so soon after it that it is still being dealt with.
 */
const aftermathMs = 500;

export type Counts = Record<string, number>;

export class Coverage {
  readonly transitions: Counts = {};
  readonly pairs: Counts = {};

  /** Hears everything that is said in a world; transitions are what machines say of themselves. */
  heard(who: string, what: string): void {
    const found = /^([a-z]+) -> ([a-z]+)\b/.exec(what);
    if (found === null) return;
    const machine: Machine = /^g\d/.test(who) ? "gateway" : "host";
    count(this.transitions, `${machine}: ${found[1] ?? ""} -> ${found[2] ?? ""}`);
  }

  /** Faults that have really come. */
  met(faults: readonly Fault[]): void {
    for (const [index, first] of faults.entries()) {
      for (const second of faults.slice(index + 1)) {
        if (second.atMs <= first.atMs + first.forMs + aftermathMs) count(this.pairs, pairOf(first.kind, second.kind));
      }
    }
  }
}

/** What no history reached, and what a history reached although it is not declared. */
export function gaps(
  transitions: Counts,
  pairs: Counts,
  kinds: readonly Fault["kind"][],
): { readonly unreached: string[]; readonly undeclared: string[]; readonly unmet: string[] } {
  const allPairs = kinds.flatMap((first, index) => kinds.slice(index).map((second) => pairOf(first, second)));
  return {
    unreached: declared.filter((each) => transitions[each] === undefined && excluded[each] === undefined),
    // A turn of a gateway may take several steps, and says only where it has ended.
    undeclared: Object.keys(transitions)
      .filter((each) => each.startsWith("host: ") && !declared.includes(each) && excluded[each] === undefined)
      .sort(),
    unmet: allPairs.filter((each) => pairs[each] === undefined),
  };
}

function count(counts: Counts, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

const pairOf = (a: string, b: string): string => [a, b].sort().join(" + ");
