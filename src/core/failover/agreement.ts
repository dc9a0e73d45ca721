/**
 * Whether this gateway may act on "the primary is down" (docs/PROTOCOL.md, "majority").
 *
 * A majority of *registered* gateways that see it down may act at once. Without one, the gateway waits `agreeWaitMs`
 * for the others' views, and then asks a candidate with the evidence it has: the candidate's own witness (the primary's
 * signs of life in the vault, core/host/witness.ts) decides. A majority that sees the primary healthy overrules. A lone
 * gateway whose peer died together with the primary can therefore act, while an isolated gateway cannot depose a
 * healthy primary.
 *
 * Gateways act in the order of their ids, `staggerMs` apart, so that usually one does; two at once are harmless (R1).
 */
import type { Rules } from "../rules.ts";

/** Another gateway's last view. `at` is its arrival, on our clock. */
export interface PeerView {
  readonly gateway: string;
  readonly at: number;
  readonly epoch: number;
  readonly sees: "up" | "down" | "unknown";
}

export interface AgreementQuestion {
  readonly self: string;
  readonly registered: readonly string[];
  readonly peers: Iterable<PeerView>;
  readonly epoch: number;
  /** When this gateway decided that the primary is down. */
  readonly decidedAt: number;
  readonly now: number;
  readonly agreeWaitMs: number;
  readonly staggerMs: number;
  /** A view older than this counts as unknown. */
  readonly freshMs: number;
}

export type Agreement =
  /** Ask a candidate, with `seeingDown` as evidence. */
  | { readonly kind: "act" }
  | { readonly kind: "wait"; readonly until: number }
  | { readonly kind: "overruled"; readonly seeingUp: readonly string[] };

/** Returns the registered gateways, this one first, that now see the primary of this epoch down. */
export function seeingDown(question: Omit<AgreementQuestion, "decidedAt" | "agreeWaitMs" | "staggerMs">): string[] {
  const registered = new Set(question.registered);
  const seeing = [question.self];
  for (const view of question.peers) {
    const counts = registered.has(view.gateway) && view.gateway !== question.self && isFresh(view, question);
    if (counts && view.sees === "down" && view.epoch === question.epoch) seeing.push(view.gateway);
  }
  return seeing.sort();
}

const isFresh = (view: PeerView, question: { readonly now: number; readonly freshMs: number }): boolean =>
  question.now - view.at <= question.freshMs;

export function agree(question: AgreementQuestion, rules: Rules): Agreement {
  const registered = new Set(question.registered).add(question.self);
  const seeing = seeingDown(question);
  const seeingUp: string[] = [];
  for (const view of question.peers) {
    const counts = registered.has(view.gateway) && view.gateway !== question.self && isFresh(view, question);
    if (counts && view.sees === "up" && view.epoch === question.epoch) seeingUp.push(view.gateway);
  }
  if (rules.has("majority") && seeingUp.length * 2 > registered.size) return { kind: "overruled", seeingUp };

  const staggeredMs = seeing.indexOf(question.self) * question.staggerMs;
  const majority = seeing.length * 2 > registered.size;
  const actsAt = question.decidedAt + staggeredMs + (majority ? 0 : question.agreeWaitMs);
  return question.now >= actsAt ? { kind: "act" } : { kind: "wait", until: actsAt };
}
