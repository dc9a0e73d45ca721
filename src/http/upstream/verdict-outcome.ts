/** The outcome of an attempt that a host answered in place of its application. */
import type { HostVerdict } from "../message/stead-fields.ts";
import type { ForwardOutcome } from "./exchange.ts";

export function verdictOutcome(
  verdict: HostVerdict,
  reason: string | undefined,
  bodyHeld: boolean,
  released: boolean,
): ForwardOutcome {
  switch (verdict.kind) {
    case "not-executed":
      return { kind: "not-executed", bodyHeld, reason: reason ?? "the host did not execute the request" };
    case "put-aside":
      return { ...verdict, reason: reason ?? "the host has set this request aside" };
    case "invalid":
      return { kind: "upstream-invalid", reason: reason ?? "the host could not understand its application" };
    case "lost":
      return {
        kind: "lost",
        released,
        bodyHeld,
        reused: false,
        cause: verdict.cause,
        reason: reason ?? "the host lost its application",
      };
  }
}

export const completedOutcome = (status: number, isRecorded = false): ForwardOutcome =>
  isRecorded ? { kind: "completed", status, isRecorded } : { kind: "completed", status };
