/**
 * The fields whose names begin with `Stead-`: they pass between gateways, hosts and applications, never to clients.
 *
 * `Stead-Outcome` is a host's verdict in place of a response of its application: 503
 * with `not-executed`, or 502 with `unknown` (504 on a time-out). It decides about a replay, so it is accepted only
 * from a host, never from an application.
 *
 * `Stead-Cause` gives the cause, because only a request whose application *ended* may be resent. An unknown value
 * (another version) is taken for the end of the application, which an unknown outcome has always meant. `Stead-Reason`
 * is for people. `Stead-Checkpoint: now` is an application's wish to its host.
 */
import type { LossCause } from "../../core/replay.ts";
import type { ResponseHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import { fieldSet, STEAD } from "./known-fields.ts";

/**
 * Request field from a gateway to a host: the epoch for which the request was routed. A host executes only requests of
 * its own epoch, so a copy of an abandoned attempt that the network delivers late (kernels keep sending) cannot execute
 * after its repetition.
 */
export const epochField = "Stead-Epoch";

export const steadFieldSet = fieldSet(STEAD);
export const withoutSteadFields = (headers: HeaderList): HeaderList =>
  headers.mayHave(steadFieldSet) ? headers.without((name) => name.startsWith("stead-")) : headers;

/** True if a response of the application asks its host for a checkpoint, which is a system event. */
export const asksForCheckpoint = (headers: HeaderList): boolean =>
  headers.mayHave(steadFieldSet) && headers.get("stead-checkpoint") === "now";

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
