/**
 * The fields whose names begin with `Stead-`: they pass between gateways, hosts and applications, never to clients.
 *
 * `Stead-Outcome` is a host's verdict in place of a response of its application: 503 with `not-executed`, or 502 with
 * `unknown` (504 on a time-out). It decides about a replay, so it is accepted only from a host, never from an
 * application. `recorded` stands beside what the application had answered to an earlier try of the request.
 *
 * `Stead-Cause` gives the cause, because only a request whose application *ended* may be resent. An unknown value
 * (another version) is taken for the end of the application, which an unknown outcome has always meant. `Stead-Reason`
 * is for people. `Stead-Checkpoint: now` is an application's wish to its host.
 */
import type { LossCause } from "../../core/replay.ts";
import type { NamedRequest } from "../../core/request-names.ts";
import type { ResponseHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import { fieldSet, STEAD } from "./known-fields.ts";

/**
 * Request field from a gateway to a host: the epoch for which the request was routed. A host executes only requests of
 * its own epoch, so a copy of an abandoned attempt that the network delivers late (kernels keep sending) cannot execute
 * after its repetition.
 */
export const epochField = "Stead-Epoch";

/**
 * Request field from a gateway to a host: the name of a request (core/request-names.ts), as `RUN COUNT AFTER first` or
 * `RUN COUNT AFTER again`; `keyed` and `keyed-again` in their place if the name is made of the client's
 * `Idempotency-Key`. With all but `first`, `Stead-Epoch` is `EPOCH-again`: a host of a version without names takes that
 * for another epoch and refuses the request, in place of executing it a second time.
 */
export const requestField = "Stead-Request";

export const epochFieldOf = (epoch: number, named: NamedRequest | undefined): string =>
  named !== undefined && (named.isAgain || named.isKeyed === true) ? `${epoch}-again` : String(epoch);

export const requestFieldOf = ({ run, count, after, isAgain, isKeyed = false }: NamedRequest): string =>
  `${run} ${count} ${after} ${isKeyed ? (isAgain ? "keyed-again" : "keyed") : isAgain ? "again" : "first"}`;

/** The epoch for which a request of this name was routed, as its field says; undefined: for none. */
export function routedEpochOf(headers: HeaderList, named: NamedRequest | undefined): string | undefined {
  if (!headers.mayHave(steadFieldSet)) return undefined;
  const field = headers.get(epochField);
  return named?.isAgain === true || named?.isKeyed === true ? field?.replace(/-again$/, "") : field;
}

/** Undefined: there is no name, or none of this form. */
export function namedRequestOf(headers: HeaderList): NamedRequest | undefined {
  if (!headers.mayHave(steadFieldSet)) return undefined;
  const found = /^([0-9a-f]{16}) (\d{1,15}) (\d{1,15}) (first|again|keyed|keyed-again)$/.exec(
    headers.get(requestField) ?? "",
  );
  const [, run = "", count, after, how = ""] = found ?? [];
  if (found === null) return undefined;
  const named = { run, count: Number(count), after: Number(after), isAgain: how.endsWith("again") };
  return how.startsWith("keyed") ? { ...named, isKeyed: true } : named;
}

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
export type UnknownCause = "application-ended" | "closed" | "timed-out" | "in-doubt" | "executed" | "invalid-answer";

const verdicts: Readonly<Record<UnknownCause, HostVerdict>> = {
  "application-ended": { kind: "lost", cause: "application-ended" },
  closed: { kind: "lost", cause: "closed" },
  "timed-out": { kind: "lost", cause: "timed-out" },
  "in-doubt": { kind: "lost", cause: "in-doubt" },
  executed: { kind: "lost", cause: "executed" },
  "invalid-answer": { kind: "invalid" },
};

/** Of an answer that the application gave to an earlier try, with its own status: `Stead-Outcome: recorded`. */
export const recordedField: [string, string] = ["Stead-Outcome", "recorded"];

export const isRecordedAnswer = ({ headers }: ResponseHead): boolean =>
  headers.mayHave(steadFieldSet) && headers.get("stead-outcome") === "recorded";

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
