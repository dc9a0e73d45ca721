/** One run of an operator's program (src/host/hooks.ts says when). */
export type HookName = "before_start" | "on_promote" | "on_demote";

export interface HookCall {
  readonly hook: HookName;
  readonly service: string;
  readonly host: string;
  readonly epoch: number;
  /** What this host is, or is about to be. */
  readonly role: "primary" | "secondary";
  /** Why a term is over; otherwise empty. */
  readonly reason: string;
  readonly dataFolder: string;
  readonly signal: AbortSignal;
}

export type HookEnd = { readonly kind: "ok" } | { readonly kind: "failed"; readonly why: string };

/** Runs a hook within its limit; undefined: none is configured. Never rejects. */
export type HookRunner = (call: HookCall) => Promise<HookEnd> | undefined;

/** How the last run of a hook went. */
export interface HookResult {
  readonly hook: HookName;
  /** Wall-clock time of this host. */
  readonly atMs: number;
  readonly epoch: number;
  readonly ok: boolean;
  readonly ms: number;
  /** What failed, with the end of its output; undefined: nothing. */
  readonly detail: string | undefined;
}
