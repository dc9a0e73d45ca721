/** How a journal ends, and the consequence for the host. */
import { CaptureError } from "../../capture/capture-error.ts";
import { FencedError } from "../../vault/errors.ts";
import { messageOf } from "../../runtime/operator-error.ts";

/** Why a journal ended; reported once. */
export type JournalEnd =
  | { readonly kind: "fenced"; readonly epoch: number; readonly host: string }
  /** Continuity is lost, or the vault refuses for good: a restore may help. */
  | { readonly kind: "must-stop"; readonly reason: string }
  /** The application does something that capture cannot follow: it would do so again on any host. */
  | { readonly kind: "unsupported"; readonly reason: string };

/** Thrown by `gate` if this host may release nothing any more. */
export class GateShutError extends Error {
  override readonly name = "GateShutError";
  constructor() {
    super("this host is no longer primary: nothing is released");
  }
}

export function journalEndOf(error: unknown): JournalEnd {
  if (error instanceof FencedError) return { kind: "fenced", epoch: error.epoch, host: error.host };
  const isUnsupported = error instanceof CaptureError && error.kind !== "continuity";
  return { kind: isUnsupported ? "unsupported" : "must-stop", reason: messageOf(error) };
}

export const slowVault = (leaseMs: number): string =>
  `the vault takes longer for a record than the lease of ${leaseMs} ms: no answer can leave; raise \`lease\` in [host], or make the vault faster`;
