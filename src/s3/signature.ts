/**
 * AWS signature version 4 (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html), in the Authorization
 * field, with the hash of the whole body. The secret key is used here and nowhere else.
 *
 * Every field that is sent, except those of HTTP itself, is signed: a proxy that strips `If-None-Match` gets 403, and
 * not an overwritten object.
 */
import { createHmac } from "node:crypto";
import { sha256 } from "../runtime/sha256.ts";
import type { BucketCredentials } from "./credentials.ts";

export type Pairs = readonly (readonly [name: string, value: string])[];

export interface RequestToSign {
  readonly method: string;
  /** Encoded, as it is sent. */
  readonly path: string;
  /** Not encoded. */
  readonly query: Pairs;
  /** All that are signed, `host` among them; names in lower case. */
  readonly fields: Pairs;
  /** SHA-256 of the body, in hex. */
  readonly bodyHash: string;
}

export interface SigningScope {
  readonly region: string;
  readonly service: string;
  /** `20130524T000000Z` (`amzDate`). */
  readonly date: string;
}

const algorithm = "AWS4-HMAC-SHA256";

/** Formats a wall-clock time as the field x-amz-date. */
export const amzDate = (wallTimeMs: number): string => new Date(wallTimeMs).toISOString().replace(/[-:]|\.\d{3}/g, "");

export const hexHash = (bytes: Uint8Array): string => sha256(bytes).toString("hex");

/** Encodes all but the unreserved characters of RFC 3986, as the signature demands. */
export const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/** The query as it is sent and signed: encoded, in the order of the names, each of which occurs once. */
export const queryText = (query: Pairs): string =>
  query
    .map(([name, value]) => [encoded(name), encoded(value)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");

/** Returns the value of the Authorization field. */
export function authorizationOf(request: RequestToSign, credentials: BucketCredentials, scope: SigningScope): string {
  const fields = request.fields.toSorted(([a], [b]) => (a < b ? -1 : 1));
  const names = fields.map(([name]) => name).join(";");
  const canonical = [
    request.method,
    request.path,
    queryText(request.query),
    ...fields.map(([name, value]) => `${name}:${value.trim()}`),
    "",
    names,
    request.bodyHash,
  ].join("\n");
  const day = scope.date.slice(0, 8);
  const place = `${day}/${scope.region}/${scope.service}/aws4_request`;
  const text = [algorithm, scope.date, place, hexHash(Buffer.from(canonical))].join("\n");
  const key = [day, scope.region, scope.service, "aws4_request"].reduce<string | Buffer>(
    (above, part) => hmac(above, part),
    `AWS4${credentials.secretKey}`,
  );
  const signature = hmac(key, text).toString("hex");
  return `${algorithm} Credential=${credentials.accessKeyId}/${place},SignedHeaders=${names},Signature=${signature}`;
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
