/**
 * A vault in a bucket of S3 or of what speaks like it. Each key is one object below the vault's prefix; exclusive
 * creation is `PUT` with `If-None-Match: *`.
 *
 * Why no write is lost:
 * - **A put is `created` only by an answer to this very attempt.** A call is one attempt by construction, so the
 *   answer 200 says that the object was absent when the server took this request, and durable when it answered. An
 *   answer without an ETag is no answer of S3, and counts for nothing.
 * - **412 says only that there is an object.** It may be this writer's own: of an earlier attempt that was not
 *   answered, or of this one, which a proxy in between sent twice. So it is `exists`, and the caller compares bytes
 *   (vault/log/put-record.ts); the writer's nonce is in them.
 * - **Everything else that may have arrived is ambiguous** (R3): 409, 500, 503, an answer that is cut off, a time-out,
 *   a connection that is gone. The caller repeats the same bytes under the same key until 200 or 412 decides. A copy
 *   that the network delivers later still finds the object, and is refused by the same condition.
 * - **Absent is only what S3 calls absent:** 404 with the code NoSuchKey. A 404 of a proxy, or of a bucket that is
 *   gone, is a failure; otherwise a reader would take it for the end of the log.
 *
 * How one would lose a write, and why not:
 * - The store ignores the condition (old or foreign stores, buckets with versions, a proxy that strips the field): the
 *   probe finds it before the vault is used, at each opening (s3-probe.ts). The field is signed, so stripping it makes
 *   403. A store that begins to ignore it later is found by the next put of a key that was just seen: each claim
 *   begins with one, of the record that was read last (vault/log/log-writer.ts). If it is `created`, another process
 *   may have removed the object in between, which retention does; then a second put must meet the first. If that is
 *   `created` too, the store is unsuitable for every put from there on, and the term or claim ends.
 * - Versions are turned on while hosts run: in such a bucket some servers let every writer win, a claim right behind a
 *   checkpoint too, which need not meet a key that was just seen. The answers to puts then name a version
 *   (`x-amz-version-id`). Such an answer, after others without, counts for nothing and ends this store: each side ends
 *   by its first put, before the record counts. If the first answer names one they all do, whatever the bucket is, and
 *   whether it has versions is what the probe asked.
 * - A proxy sends a put twice, and between the two others read the record, claimed behind it and deleted it: the
 *   second one is `created` in a hole. The lease counts from the beginning of the attempt, which was before both, and
 *   the next put meets the claim, which is never deleted; a claim reads the boundary afterwards (R4).
 * - A listing is old: the boundary would seem lower than it is, and a claim in a hole valid. S3 promises that a
 *   listing has what was put before; the probe looks, once. A server that caches listings cannot be found out by this,
 *   and docs/OPERATIONS.md says so.
 * - Two sites accept puts for one bucket and copy them to each other: each is right by itself, and two writers win. No
 *   probe at one site finds it; docs/OPERATIONS.md forbids it.
 *
 * Attacked in test/s3/s3-store.test.ts: "that is created over a record that was just read ends everything", "in a
 * bucket that has versions since the last put counts for nothing", "of a record that a proxy sent twice".
 */
import { objectBytesMax } from "../vault/limits.ts";
import { assertSize } from "../vault/store/object-size.ts";
import { type PutOutcome, type Store, StoreError } from "../vault/store/store.ts";
import { assertKey, assertPrefix, isKey } from "../vault/store/store-key.ts";
import { LongAnswerError, type S3Answer } from "./s3-connection.ts";
import type { S3Call, S3Client } from "./s3-client.ts";
import { documentOf, refusalIn, storeErrorOfAnswer } from "./s3-refusal.ts";
import { childText } from "./xml.ts";

const keysPerPage = 1_000;
/** 1,000 names of at most a kilobyte, each with what S3 tells about it. */
const pageBytesMax = 4 * 1024 * 1024;
const shortAnswerBytesMax = 64 * 1024;
/** Keys that were just seen; a claim needs the last one only. */
const seenMax = 64;

export class S3Store implements Store {
  readonly url: string;
  readonly files = undefined;
  readonly #client: S3Client;
  readonly #seen = new Set<string>();
  /** Whether answers to puts name a version, as the first one did. */
  #mayNameVersions: boolean | undefined;
  #unsuitable: StoreError | undefined;

  constructor(client: S3Client) {
    this.#client = client;
    this.url = client.options.url;
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    assertKey(key);
    const wasSeen = this.#seen.has(key);
    const outcome = await this.#put(key, bytes);
    if (wasSeen && outcome.kind === "created" && (await this.#put(key, bytes)).kind === "created")
      throw (this.#unsuitable = new StoreError(
        "unsuitable",
        `${this.url} does not give exclusive creation: ${key} was created over the object that was there`,
        "A vault needs a store with conditional puts (If-None-Match: *) and a bucket without versions. If it was one until now, stop all hosts before anything else.",
      ));
    this.#see(key);
    return outcome;
  }

  prepare(): void {
    // The server has nothing of an object before it is put.
  }

  async stage(): Promise<undefined> {}

  async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    assertKey(key);
    let answer: S3Answer;
    try {
      answer = await this.#call("GET", key, { answerBytesMax: bytesMax });
    } catch (error) {
      if (error instanceof LongAnswerError) assertSize(key, error.bytes ?? bytesMax + 1, bytesMax);
      throw error;
    }
    if (answer.status === 404 && refusalIn(answer).code === "NoSuchKey") return undefined;
    if (answer.status !== 200) throw this.#refusal(answer, `GET ${key}`);
    this.#see(key);
    return new Uint8Array(answer.body.buffer, answer.body.byteOffset, answer.body.byteLength);
  }

  async list(
    prefix: string,
    { after, limit = Infinity }: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<string[]> {
    assertPrefix(prefix);
    const found: string[] = [];
    for (let from = after, token: string | undefined; found.length < limit; ) {
      const page = await this.#page(prefix, { after: from, token, limit: limit - found.length });
      for (const key of page.keys) {
        if (from !== undefined && key <= from)
          throw this.#strange(`a listing that is not in order: ${key} after ${from}`);
        from = key;
        if (isKey(key)) found.push(key);
      }
      token = page.token;
      if (token === undefined) break;
    }
    return found.slice(0, limit);
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    this.#seen.delete(key);
    const answer = await this.#call("DELETE", key, { answerBytesMax: shortAnswerBytesMax });
    this.#seen.delete(key);
    if (answer.status === 200 || answer.status === 204) return;
    if (answer.status !== 404 || refusalIn(answer).code !== "NoSuchKey") throw this.#refusal(answer, `DELETE ${key}`);
  }

  /** `Enabled`, `Suspended`; undefined: the bucket has no versions, or its server knows none. Throws StoreError. */
  async versioning(): Promise<string | undefined> {
    const answer = await this.#client.call({
      ...{ method: "GET", name: "", query: [["versioning", ""]], answerBytesMax: shortAnswerBytesMax },
      ifSent: "unavailable",
    });
    if (answer.status === 501 || refusalIn(answer).code === "NotImplemented") return undefined;
    const found = answer.status === 200 ? documentOf(answer, "VersioningConfiguration") : undefined;
    if (found === undefined) throw this.#refusal(answer, "GET ?versioning");
    return childText(found, "Status");
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #put(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    if (this.#unsuitable !== undefined) throw this.#unsuitable;
    const answer = await this.#call("PUT", key, {
      ...{ fields: [["if-none-match", "*"]], body: bytes, answerBytesMax: shortAnswerBytesMax, ifSent: "ambiguous" },
    });
    if (answer.status === 200 && answer.headers.get("etag") !== undefined) {
      this.#assertSameVersions(answer);
      return { kind: "created" };
    }
    if (answer.status === 412) return { kind: "exists" };
    throw this.#refusal(answer, `PUT ${key}`);
  }

  #assertSameVersions({ headers }: S3Answer): void {
    const isVersioned = headers.get("x-amz-version-id") !== undefined;
    this.#mayNameVersions ??= isVersioned;
    if (isVersioned && !this.#mayNameVersions)
      throw (this.#unsuitable = new StoreError(
        "unsuitable",
        `the bucket of ${this.url} has versions now: the server names the version of what was put, and did not do so before`,
        "Stop all hosts: in such a bucket two of them may be primary. Then copy the vault into a bucket that never had versions (docs/OPERATIONS.md).",
      ));
  }

  async #call(
    method: S3Call["method"],
    key: string,
    call: Pick<S3Call, "answerBytesMax"> & Partial<S3Call>,
  ): Promise<S3Answer> {
    try {
      return await this.#client.call({
        ifSent: "unavailable",
        ...call,
        method,
        name: this.#client.options.prefix + key,
      });
    } catch (error) {
      if (!(error instanceof LongAnswerError) || method === "GET") throw error;
      throw new StoreError(
        method === "PUT" ? "ambiguous" : "unavailable",
        `${method} ${key} at ${this.url}: an answer that is longer than one of S3`,
        "Is the endpoint (host.vault_s3) a server of S3?",
      );
    }
  }

  /** One page; `token`: there are more. Throws StoreError. */
  async #page(
    prefix: string,
    {
      after,
      token,
      limit,
    }: { readonly after: string | undefined; readonly token: string | undefined; readonly limit: number },
  ): Promise<{ readonly keys: readonly string[]; readonly token: string | undefined }> {
    const { options } = this.#client;
    const place: readonly (readonly [string, string])[] =
      token !== undefined
        ? [["continuation-token", token]]
        : after !== undefined
          ? [["start-after", options.prefix + after]]
          : [];
    const answer = await this.#client.call({
      ...{ method: "GET", name: "", answerBytesMax: pageBytesMax, ifSent: "unavailable" },
      query: [
        ["list-type", "2"],
        ["prefix", options.prefix + prefix],
        ["max-keys", String(Math.min(limit, keysPerPage))],
        ...place,
      ],
    });
    const root = answer.status === 200 ? documentOf(answer, "ListBucketResult") : undefined;
    if (root === undefined) throw this.#refusal(answer, `GET a listing of ${prefix}`);
    const keys = root.children
      .filter(({ name }) => name === "Contents")
      .map((entry) => childText(entry, "Key") ?? "")
      // An object with the prefix itself as its name stands for the folder in consoles.
      .filter((name) => name !== options.prefix + prefix);
    const strange = keys.find((name) => !name.startsWith(options.prefix + prefix));
    if (strange !== undefined) throw this.#strange(`a key that does not begin with ${options.prefix}${prefix}`);
    const isTruncated = childText(root, "IsTruncated");
    const next = childText(root, "NextContinuationToken");
    if (isTruncated !== "false" && (isTruncated !== "true" || next === undefined || next === ""))
      throw this.#strange("a listing that does not say whether it is whole, or how it continues");
    return {
      keys: keys.map((name) => name.slice(options.prefix.length)),
      token: isTruncated === "true" ? next : undefined,
    };
  }

  #see(key: string): void {
    this.#seen.delete(key);
    this.#seen.add(key);
    for (const oldest of this.#seen) {
      if (this.#seen.size <= seenMax) break;
      this.#seen.delete(oldest);
    }
  }

  #refusal(answer: S3Answer, what: string): StoreError {
    const { credentials, clock } = this.#client.options;
    const isPut = what.startsWith("PUT");
    return storeErrorOfAnswer(answer, {
      what,
      url: this.url,
      isPut,
      wallTimeMs: clock.wallTime(),
      credentials: credentials(),
    });
  }

  #strange(found: string): StoreError {
    return new StoreError(
      "unavailable",
      `${this.url}: ${found}`,
      "It is tried again; if this stays, the server is not suitable for a vault.",
    );
  }
}
