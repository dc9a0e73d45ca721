/**
 * The calls of a vault server, as HTTP/1.1 requests on connections with a session (session.ts):
 *
 *     POST   /v1/session              {"client": nonce} → {"server": nonce, "proof"}; not signed
 *     POST   /v1/session/known        what this client knows of the log → 200, or 409: the server has less
 *     PUT    /v1/log/<position>       a record → 201 created, 200 exists
 *     GET    /v1/log/<position>       → 200 the record, 404
 *     GET    /v1/log?after=<position> → {"ranges": [[first, last], …]}
 *     GET    /v1/log/newest-claim?before=<position> → {"position"}; 0: there is none
 *     GET    /v1/log/strange-names, /v1/log/boundary, /v1/log/is-empty
 *     POST   /v1/log/remove           {"position", "noEpochAfter"?, "dryRun"?} → {"names", "kept"}
 *     POST   /v1/log/decide-end       → {"decided"}
 *     PUT    /v1/objects/<key>        → 201 created, 200 exists
 *     GET    /v1/objects/<key>?max=<bytes>  → 200 the content, 404
 *     DELETE /v1/objects/<key>        → 204
 *     GET    /v1/objects?prefix=&after=&limit=  → {"keys"}
 *
 * A failure is a status from 400 up with {"kind", "found", "advice"}: a StoreError; or a StrangeObjectError. `GET
 * /health` and `GET /status` need no session (vault-server.ts).
 */
import { StrangeObjectError } from "../vault/errors.ts";
import { manifestBytesMax } from "../vault/limits.ts";
import { StoreError, type StoreErrorKind } from "../vault/store/store.ts";

/** The longest request and answer: a manifest. */
export const messageBytesMax = manifestBytesMax + 1024 * 1024;
/** Before a connection has a session. */
export const greetingBytesMax = 4 * 1024;
/** Keys of one page of a listing. */
export const keysPerPage = 10_000;

export const signatureField = "Stead-Signature";

export const sessionTarget = "/v1/session";
export const knownTarget = "/v1/session/known";
export const logTarget = "/v1/log";
export const objectsTarget = "/v1/objects";

/** The end of the log that a client knows, by what it has read or what was acknowledged to it. */
export interface KnownEnd {
  readonly position: number;
  /** Of the record (`digestOf`). */
  readonly digest: string;
}

const kinds: readonly StoreErrorKind[] = ["ambiguous", "full", "denied", "unavailable", "unsuitable"];

export const encodeError = ({ kind, found, advice }: StoreError): Buffer =>
  Buffer.from(JSON.stringify({ kind, found, advice }));

export const encodeStrange = ({ kind, key, what, accepted }: StrangeObjectError): Buffer =>
  Buffer.from(JSON.stringify({ kind, key, what, accepted }));

/** Undefined: the body is no error of a vault server. */
export function decodeError(body: Uint8Array): StoreError | StrangeObjectError | undefined {
  const value = parseObject(body);
  const { key, what, accepted } = value ?? {};
  if (value?.["kind"] === "strange-object" && [key, what, accepted].every((text) => typeof text === "string"))
    return new StrangeObjectError(String(key), String(what), String(accepted));
  const kind = kinds.find((known) => known === value?.["kind"]);
  const [found, advice] = [value?.["found"], value?.["advice"]];
  if (kind === undefined || typeof found !== "string" || typeof advice !== "string") return undefined;
  return new StoreError(kind, found, advice);
}

/** Undefined: it is not an object of JSON. */
export function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export const isPosition = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
