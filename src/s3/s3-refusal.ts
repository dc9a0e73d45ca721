/**
 * The meaning of an answer that refuses, in the words of the server: S3's error documents have a code and a message.
 *
 * For a put only a refusal that is known to come before anything is stored is definite; every other one is ambiguous
 * (R3), and so is everything that a proxy in between may have answered by itself. A put is repeated either way; the
 * kind decides what a lease may be counted from (vault/log/put-record.ts).
 */
import { escapeControls } from "../runtime/printable.ts";
import { StoreError, type StoreErrorKind } from "../vault/store/store.ts";
import { type BucketCredentials, withoutSecrets } from "./credentials.ts";
import type { S3Answer } from "./s3-connection.ts";
import { childText, parseXml, type XmlElement } from "./xml.ts";

export interface S3Fault {
  /** `NoSuchKey`; empty: the answer is no error document of S3. */
  readonly code: string;
  readonly message: string;
  readonly region: string | undefined;
}

const wordsMax = 300;

/** Returns what an answer with a status from 300 up says. */
export function refusalIn({ body, headers }: S3Answer): S3Fault {
  const root = parseXml(body.toString("utf8"));
  const error = root?.name === "Error" ? root : undefined;
  const text = (name: string): string => (error === undefined ? "" : (childText(error, name) ?? ""));
  const region = headers.get("x-amz-bucket-region") ?? (text("Region") || undefined);
  return { code: text("Code"), message: text("Message"), region };
}

/** Returns the document of an answer; undefined: it is another, or none. */
export function documentOf({ body }: S3Answer, name: string): XmlElement | undefined {
  const root = parseXml(body.toString("utf8"));
  return root?.name === name ? root : undefined;
}

export interface RefusedCall {
  /** `PUT log/…`. */
  readonly what: string;
  readonly url: string;
  readonly isPut: boolean;
  readonly wallTimeMs: number;
  readonly credentials: BucketCredentials;
}

interface Meaning {
  readonly kind: StoreErrorKind;
  readonly advice: string;
}

export function storeErrorOfAnswer(answer: S3Answer, refused: RefusedCall): StoreError {
  const fault = refusalIn(answer);
  const { kind, advice } = meaningOf(answer, fault, refused);
  const words = [String(answer.status), fault.code, fault.message].filter((word) => word !== "").join(" ");
  const shown = escapeControls(withoutSecrets(words, refused.credentials)).slice(0, wordsMax);
  return new StoreError(kind, `${refused.what} at ${refused.url}: the server answered ${shown}`, advice);
}

function meaningOf(
  { status, headers }: S3Answer,
  { code, region }: S3Fault,
  { isPut, wallTimeMs }: RefusedCall,
): Meaning {
  switch (code) {
    case "RequestTimeTooSkewed":
      return {
        kind: "denied",
        advice: `Correct the clock of this machine or of the server: here it is ${new Date(wallTimeMs).toISOString()}, there ${headers.get("date") ?? "unknown"}. It continues by itself then.`,
      };
    case "SignatureDoesNotMatch":
    case "InvalidAccessKeyId":
    case "ExpiredToken":
    case "InvalidToken":
      return { kind: "denied", advice: "Correct the credentials for the bucket (host.vault_s3), or renew them." };
    case "AccessDenied":
    case "AllAccessDisabled":
      return {
        kind: "denied",
        advice:
          "Allow these credentials s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket and s3:GetBucketVersioning for the bucket.",
      };
    case "NoSuchBucket":
      return { kind: "denied", advice: "Make the bucket, or correct its name in host.vault." };
    case "AuthorizationHeaderMalformed":
    case "PermanentRedirect":
    case "IllegalLocationConstraintException":
      return { kind: "denied", advice: regionAdvice(region) };
    case "QuotaExceeded":
    case "StorageFull":
    case "XMinioStorageFull":
      return { kind: "full", advice: "Make room, or raise the quota of the bucket; it continues by itself then." };
    default:
  }
  if (status === 501 || code === "NotImplemented" || code === "MethodNotAllowed")
    return {
      kind: "unsuitable",
      advice: "A vault needs a store with conditional puts (If-None-Match: *); docs/OPERATIONS.md lists some.",
    };
  if (status === 301 || status === 308) return { kind: "denied", advice: regionAdvice(region) };
  const slow = status === 503 || status === 429;
  return {
    kind: isPut ? "ambiguous" : "unavailable",
    advice: slow
      ? "The server asks for fewer requests: are others at the same bucket or prefix? It continues by itself."
      : "It is tried again; if this stays, ask the bucket's provider.",
  };
}

const regionAdvice = (region: string | undefined): string =>
  region === undefined
    ? "Correct host.vault_s3.region and endpoint: redirects are not followed."
    : `Set host.vault_s3.region to ${JSON.stringify(region.slice(0, 40))}, and its endpoint: redirects are not followed.`;
