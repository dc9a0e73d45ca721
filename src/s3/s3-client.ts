/**
 * The requests of one process to one bucket, signed, over a bounded pool of connections.
 *
 * Each call is one attempt (s3-connection.ts). It throws StoreError for what got no answer: `unavailable` if nothing
 * was sent, else what the caller says (`ifSent`). Every answer is returned, whatever its status: what it means depends
 * on the operation (s3-store.ts).
 *
 * A server that asks for fewer requests (503 SlowDown, 429) gets a growing pause before the next ones, within the time
 * limit of each.
 */
import type { S3Bucket, S3Endpoint } from "../core/s3-place.ts";
import { authority } from "../http/message/head.ts";
import type { Clock } from "../runtime/clock.ts";
import { ConnectionPool } from "../runtime/connection-pool.ts";
import type { Random } from "../runtime/random.ts";
import type { Tcp } from "../runtime/tcp/tcp.ts";
import { StoreError, type StoreErrorKind } from "../vault/store/store.ts";
import type { BucketCredentials } from "./credentials.ts";
import { AttemptError, type S3Answer, S3Connection } from "./s3-connection.ts";
import { amzDate, authorizationOf, hexHash, type Pairs, queryText } from "./signature.ts";

const connectionsMax = 32;
/** Shorter than what servers keep an unused connection for: a request on one that was closed is ambiguous. */
const unusedMsMax = 4_000;
const slowPauseMsMin = 100;
const slowPauseMsMax = 2_000;

export interface S3ClientOptions extends S3Bucket {
  /** `s3://bucket/prefix`, for messages. */
  readonly url: string;
  readonly endpoint: S3Endpoint;
  readonly region: string;
  readonly pathStyle: boolean;
  /** Throws StoreError. */
  readonly credentials: () => BucketCredentials;
  readonly clock: Clock;
  readonly random: Random;
  /** With TLS, if the endpoint has it. */
  readonly tcp: Pick<Tcp, "connect">;
  /** For one call, from its beginning to its whole answer. */
  readonly timeoutMs: number;
}

export interface S3Call {
  readonly method: "GET" | "PUT" | "DELETE";
  /** In the bucket; empty: the bucket itself. Characters that no encoding changes. */
  readonly name: string;
  readonly query?: Pairs;
  /** Beside those of every request; names in lower case. */
  readonly fields?: Pairs;
  readonly body?: Uint8Array;
  /** The longest answer that is accepted; longer: LongAnswerError. */
  readonly answerBytesMax: number;
  /** The kind of the error if the request may have arrived. */
  readonly ifSent: StoreErrorKind;
}

const nothing = new Uint8Array();
const waitAdvice = "Is the bucket's server up and reachable? It continues by itself then.";

export class S3Client {
  readonly options: S3ClientOptions;
  readonly #pool: ConnectionPool<S3Connection>;
  #slowPauseMs = 0;
  #slowUntil = 0;

  constructor(options: S3ClientOptions) {
    this.options = options;
    this.#pool = new ConnectionPool({ clock: options.clock, connectionsMax, unusedMsMax });
  }

  /** One attempt. Throws StoreError and LongAnswerError. */
  async call(call: S3Call): Promise<S3Answer> {
    const { timeoutMs, clock } = this.options;
    const late = `no answer within ${timeoutMs} ms`;
    let connection: S3Connection | undefined;
    const given = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => {
      given.abort(new AttemptError(false, late));
      connection?.abort(late);
    });
    await this.#pool.enter();
    try {
      await this.#pause(given.signal);
      given.signal.throwIfAborted();
      // Before there is a connection: it may throw.
      const head = this.#signedHead(call);
      connection = this.#pool.takeUnused() ?? this.#connect();
      await connection.opened();
      const answer = await connection.send({
        ...{ method: call.method, head, body: call.body ?? nothing },
        answerBytesMax: call.answerBytesMax,
      });
      this.#pool.keep(connection);
      this.#heed(answer);
      return answer;
    } catch (error) {
      throw this.#explain(error, call);
    } finally {
      timer.cancel();
      this.#pool.release(connection);
    }
  }

  /** Ends all connections: calls in progress fail. */
  close(): Promise<void> {
    this.#pool.close("this process closed the vault");
    return Promise.resolve();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.options;
    const left = this.#slowUntil - clock.now();
    if (left > 0) await clock.sleep(left * (0.5 + random.fraction() / 2), signal);
  }

  #heed({ status }: S3Answer): void {
    const isSlow = status === 503 || status === 429;
    this.#slowPauseMs = isSlow ? Math.min(slowPauseMsMax, Math.max(slowPauseMsMin, this.#slowPauseMs * 2)) : 0;
    this.#slowUntil = this.options.clock.now() + this.#slowPauseMs;
  }

  #connect(): S3Connection {
    if (this.#pool.isClosed) throw new AttemptError(false, "the vault is closed");
    const { tcp, endpoint } = this.options;
    return this.#pool.add(new S3Connection(tcp, this.#hostName(endpoint.host), endpoint.port));
  }

  #hostName(host: string): string {
    const { pathStyle, bucket } = this.options;
    return pathStyle ? host : `${bucket}.${host}`;
  }

  #signedHead({ method, name, query = [], fields = [], body = nothing }: S3Call): string {
    const { endpoint, region, bucket, pathStyle, clock, credentials } = this.options;
    const known = credentials();
    const date = amzDate(clock.wallTime());
    const bodyHash = hexHash(body);
    const isUsualPort = endpoint.port === (endpoint.secure ? 443 : 80);
    const host = this.#hostName(endpoint.host);
    const signed: [string, string][] = [
      ["host", isUsualPort ? authority(host, 0).slice(0, -2) : authority(host, endpoint.port)],
      ["x-amz-content-sha256", bodyHash],
      ["x-amz-date", date],
      ...fields.map(([field, value]): [string, string] => [field, value]),
    ];
    if (known.sessionToken !== undefined) signed.push(["x-amz-security-token", known.sessionToken]);
    const path = pathStyle ? `/${bucket}/${name}` : `/${name}`;
    const request = { method, path, query, fields: signed, bodyHash };
    const authorization = authorizationOf(request, known, { region, service: "s3", date });
    const target = query.length === 0 ? path : `${path}?${queryText(query)}`;
    const length = method === "PUT" ? `content-length: ${body.length}\r\n` : "";
    const lines = signed.map(([field, value]) => `${field}: ${value}\r\n`).join("");
    return `${method} ${target} HTTP/1.1\r\n${lines}${length}authorization: ${authorization}\r\n\r\n`;
  }

  #explain(error: unknown, { method, name, ifSent }: S3Call): unknown {
    if (!(error instanceof AttemptError)) return error;
    const kind = error.isSent ? ifSent : "unavailable";
    const what = name === "" ? method : `${method} ${name}`;
    return new StoreError(kind, `${what} at ${this.options.url}: ${error.message}`, waitAdvice, { cause: error });
  }
}
