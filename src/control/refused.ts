/**
 * The shape of a refusal, the same for gateway and host: `error`, `accepted` and `advice` for people, `code` for
 * programs. Refusals that belong to a protocol (host-api.ts, peer-api.ts, hrana.ts) have shapes of their own.
 */
import * as v from "valibot";

/** The HTTP status of each code. Programs decide by the code, never by a text. */
export const refusalStatus = {
  /** The body is not JSON or does not match the schema. */
  malformed: 400,
  /** There are several services and the request names none. */
  "service-not-named": 400,
  /** The statement does not only read, or SQLite refused it. */
  "query-failed": 400,
  unauthorized: 401,
  /** The role of the token does not suffice for this call. */
  forbidden: 403,
  "no-such-call": 404,
  "unknown-service": 404,
  "unknown-host": 404,
  "unknown-gateway": 404,
  "unknown-token": 404,
  "unknown-target": 404,
  /** Not possible in the current state of the service or gateway. */
  conflict: 409,
  /** Another failover came before the one that was ordered. */
  overtaken: 409,
  /** The order did not end in time. It may still succeed. */
  unfinished: 409,
  /** A host refused. */
  "refused-by-host": 409,
  /** A host did not answer, or answered something unexpected. */
  "no-answer": 409,
  "too-large": 413,
  /** Too many wrong credentials from this address: these were not read. */
  "too-many-attempts": 429,
  /** The call failed for a reason that an operator can fix. */
  failed: 500,
  defect: 500,
} as const;
export type RefusalCode = keyof typeof refusalStatus;

export const refusedSchema = v.object({
  /** What was found. */
  error: v.string(),
  /** The reason; docs/GATEWAY-API.md lists them. Newer versions may add codes; older versions send none. */
  code: v.optional(v.string()),
  /** What is accepted, if there is a choice. */
  accepted: v.optional(v.string()),
  /** What to do about it. */
  advice: v.string(),
});
export type Refused = v.InferOutput<typeof refusedSchema>;
