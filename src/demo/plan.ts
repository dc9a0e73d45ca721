/** Which events the demo makes happen, in an order that its seed draws. */
import type { SeededRandom } from "../../harness/seeded-random.ts";

export const eventKinds = ["kill", "switchover", "hang", "hang-application"] as const;
export type EventKind = (typeof eventKinds)[number];

/**
 * `kills` kills of the primary, one planned switchover, one hang. A hang of the application alone is for the bench: it
 * would only prolong the demo.
 */
export function planEvents(kills: number, dice: SeededRandom): EventKind[] {
  const all: EventKind[] = [...Array.from({ length: kills }, () => "kill" as const), "switchover", "hang"];
  return dice.shuffled(all);
}
