/**
 * A host's verdict in place of a response of its application: 503 with `Stead-Outcome: not-executed`, or 502 with
 * `Stead-Outcome: unknown` (504 on a time-out). It decides about a replay, so it is accepted only from a host, never
 * from an application.
 *
 * `Stead-Cause` gives the cause, because only a request whose application *ended* may be resent. An unknown value
 * (another version) is taken for the end of the application, which an unknown outcome has always meant. `Stead-Reason`
 * is for people.
 */
import type { LossCause } from "../../core/replay.ts";
import type { ForwardOutcome } from "./exchange.ts";
import type { ResponseHead } from "../message/head.ts";

export type HostVerdict =
  | { readonly kind: "not-executed" }
  /** Not executed, and not to be resent: the request is set aside (core/suspects.ts). */
  | { readonly kind: "put-aside"; readonly retryAfterSeconds: number }
  | { readonly kind: "lost"; readonly cause: LossCause }
  | { readonly kind: "invalid" };

/** Causes that a host can give for a request that its application had and did not answer. */
export type UnknownCause = "application-ended" | "closed" | "timed-out" | "invalid-answer";

const verdicts: Readonly<Record<UnknownCause, HostVerdict>> = {
  "application-ended": { kind: "lost", cause: "application-ended" },
  closed: { kind: "lost", cause: "closed" },
  "timed-out": { kind: "lost", cause: "timed-out" },
  "invalid-answer": { kind: "invalid" },
};

export const putAsideCause = "suspect-request";

export function hostVerdict({ status, headers }: ResponseHead): HostVerdict | undefined {
  if (status < 502 || status > 504) return undefined;
  const outcome = headers.get("stead-outcome");
  if (status === 503 && outcome === "not-executed") {
    if (headers.get("stead-cause") !== putAsideCause) return { kind: "not-executed" };
    const seconds = Number(headers.get("retry-after"));
    return { kind: "put-aside", retryAfterSeconds: Number.isSafeInteger(seconds) && seconds > 0 ? seconds : 1 };
  }
  if (status === 503 || outcome !== "unknown") return undefined;
  const cause = headers.get("stead-cause") ?? "";
  return Object.hasOwn(verdicts, cause) ? verdicts[cause as UnknownCause] : verdicts["application-ended"];
}

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

/** The fields of a host's verdict about a request that its application had. */
export const unknownFields = (cause: UnknownCause, reason: string): [string, string][] => [
  ["Stead-Outcome", "unknown"],
  ["Stead-Cause", cause],
  ["Stead-Reason", fieldText(reason)],
];

/** Converts a text to a field value: characters that are not allowed become question marks. */
const fieldText = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7e]/g, "?")
    .slice(0, reasonCharactersMax)
    .trim();
const reasonCharactersMax = 500;
