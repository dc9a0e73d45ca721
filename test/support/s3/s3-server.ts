/**
 * A server of S3 in this process: honest, and with a switch for each way in which servers and networks misbehave. It
 * verifies signatures, and knows nothing of the code that it tests but for the signature's algorithm, which the
 * documented examples prove (test/s3/signature.test.ts).
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { authorizationOf, hexHash } from "../../../src/s3/signature.ts";
import { type Deferred, newDeferred } from "../../../src/runtime/deferred.ts";

/**
 * What happens to the next put.
 * - `lost-answer`: it happens, and the connection is reset.
 * - `lost-request`: reset, and it does not happen.
 * - `cut-answer`: it happens, and its answer ends in the middle.
 * - `late`: reset, and it happens when `deliverLate` is called.
 * - `resent`: a proxy sends it twice; the answer is that of the second time.
 * - others: that answer, and it does not happen.
 */
export type PutFault =
  | "lost-answer"
  | "lost-request"
  | "cut-answer"
  | "late"
  | "resent"
  | "conflict"
  | "slow-down"
  | "internal-error"
  | "no-etag";

export interface Misbehaviour {
  /** Puts overwrite. */
  ignoresCondition?: boolean;
  /** Of a key that is raced for, so many puts look before the first one writes: all of them win. */
  looksFirst?: number;
  /** Answers 501 to conditional puts. */
  knowsNoCondition?: boolean;
  versioning?: "Enabled" | "Suspended";
  /** Answers to puts name a version, although the bucket has none. */
  alwaysNamesVersions?: boolean;
  /** Answers 501 to what is asked about versions. */
  knowsNoVersions?: boolean;
  /** Removes the condition on the way, as a proxy would. */
  stripsCondition?: boolean;
  keysPerPage?: number;
  /** Of its clock. */
  aheadMs?: number;
  /** Answers 404 as a proxy does, without a document. */
  plainNotFound?: boolean;
  hasNoBucket?: boolean;
  hasAnotherRegion?: string;
  /** Listings lack what was put last. */
  listsLate?: boolean;
  unordered?: boolean;
  /** Repeats the request's fields in the message of a refusal. */
  repeatsRequest?: boolean;
  sendsChunks?: boolean;
}

interface S3Request {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly body?: Buffer | string;
  readonly fields?: Readonly<Record<string, string>>;
}

export const testCredentials = { accessKeyId: "AKIDTEST", secretKey: "secret/of+the=bucket", sessionToken: undefined };
export const testBucket = "vaults";
export const testRegion = "us-east-1";
const skewMsMax = 15 * 60_000;

export class S3Server {
  readonly objects = new Map<string, Buffer>();
  /** `PUT notes/log/…`, in the order of arrival. */
  readonly requests: string[] = [];
  readonly behaviour: Misbehaviour = {};
  /** Connections so far. */
  connections = 0;
  readonly #faults: PutFault[] = [];
  readonly #late: (() => void)[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #lastPut = "";
  readonly #races = new Map<string, { looked: number; readonly all: Deferred }>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async start(port = 0, host = "127.0.0.1"): Promise<S3Server> {
    const server = createServer({ noDelay: true });
    server.listen(port, host);
    await once(server, "listening");
    return new S3Server(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next puts below `log/` meet these faults, one each. */
  failPuts(...faults: readonly PutFault[]): void {
    this.#faults.push(...faults);
  }

  deliverLate(): void {
    for (const put of this.#late.splice(0)) put();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
    let rest = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      const end = rest.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = rest.toString("latin1", 0, end);
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
      if (rest.length < end + 4 + length) return;
      const body = Buffer.from(rest.subarray(end + 4, end + 4 + length));
      rest = Buffer.from(rest.subarray(end + 4 + length));
      void this.#handle(socket, requestOf(head, body));
    });
  }

  async #handle(socket: Socket, request: S3Request): Promise<void> {
    const key = request.path.slice(`/${testBucket}/`.length);
    this.requests.push(`${request.method} ${key}`);
    const refused = this.#refused(request);
    if (refused !== undefined) return this.#send(socket, refused);
    if (request.method === "PUT") return this.#put(socket, key, request);
    if (request.method === "DELETE") {
      this.objects.delete(key);
      return this.#send(socket, { status: 204 });
    }
    this.#send(socket, key === "" ? this.#bucket(request) : this.#get(key));
  }

  async #put(socket: Socket, key: string, request: S3Request): Promise<void> {
    const fault = key.includes("/log/") ? this.#faults.shift() : undefined;
    switch (fault) {
      case undefined:
        return this.#send(socket, await this.#store(key, request));
      case "lost-request":
        return void socket.resetAndDestroy();
      case "late":
        this.#late.push(() => void this.#store(key, request));
        return void socket.resetAndDestroy();
      case "lost-answer":
        await this.#store(key, request);
        return void socket.resetAndDestroy();
      case "cut-answer":
        await this.#store(key, request);
        return void socket.end('HTTP/1.1 200 OK\r\nETag: "');
      case "resent":
        await this.#store(key, request);
        return this.#send(socket, await this.#store(key, request));
      case "conflict":
        return this.#send(socket, failure(409, "ConditionalRequestConflict", "another request is in progress"));
      case "slow-down":
        return this.#send(socket, failure(503, "SlowDown", "Please reduce your request rate."));
      case "internal-error":
        return this.#send(socket, failure(500, "InternalError", "We encountered an internal error."));
      case "no-etag":
        return this.#send(socket, { status: 200, body: "<html>Welcome to this network</html>" });
    }
  }

  /** Resolves when `count` puts of this key are here. */
  #allHaveLooked(key: string, count: number): Promise<void> {
    const race = this.#races.get(key) ?? { looked: 0, all: newDeferred() };
    this.#races.set(key, race);
    race.looked += 1;
    if (race.looked === count) race.all.resolve();
    return race.all.promise;
  }

  async #store(key: string, { fields, body }: S3Request): Promise<Answer> {
    const { ignoresCondition, looksFirst, knowsNoCondition, versioning, alwaysNamesVersions } = this.behaviour;
    const isConditional = fields.get("if-none-match") === "*";
    if (isConditional && knowsNoCondition === true)
      return failure(501, "NotImplemented", "A header you provided implies functionality that is not implemented.");
    const exists = this.objects.has(key);
    if (looksFirst !== undefined && key.includes("/race-")) await this.#allHaveLooked(key, looksFirst);
    if (isConditional && exists && ignoresCondition !== true && versioning === undefined)
      return failure(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
    this.objects.set(key, body);
    this.#lastPut = key;
    const etag = { ETag: `"${hexHash(body).slice(0, 32)}"` };
    const isVersioned = versioning === "Enabled" || alwaysNamesVersions === true;
    return { status: 200, fields: isVersioned ? { ...etag, "x-amz-version-id": "3HL4kqtJlcpXroDTDmJ" } : etag };
  }

  #get(key: string): Answer {
    const { plainNotFound, sendsChunks } = this.behaviour;
    const body = this.objects.get(key);
    if (body === undefined)
      return plainNotFound === true
        ? { status: 404, body: "not found" }
        : failure(404, "NoSuchKey", "The specified key does not exist.");
    return { status: 200, body, ...(sendsChunks === true ? { fields: { "Transfer-Encoding": "chunked" } } : {}) };
  }

  #bucket({ query }: S3Request): Answer {
    const { versioning, knowsNoVersions } = this.behaviour;
    if (query.get("list-type") === "2") return this.#list(query);
    if (knowsNoVersions === true) return failure(501, "NotImplemented", "versions are not implemented");
    const status = versioning === undefined ? "" : `<Status>${versioning}</Status>`;
    return document(
      200,
      `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${status}</VersioningConfiguration>`,
    );
  }

  #list(query: URLSearchParams): Answer {
    const { keysPerPage = 1_000, listsLate, unordered } = this.behaviour;
    const prefix = query.get("prefix") ?? "";
    const token = query.get("continuation-token");
    const after = token === null ? (query.get("start-after") ?? "") : Buffer.from(token, "base64").toString();
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > after && !(listsLate === true && key === this.#lastPut))
      .sort();
    if (unordered === true) keys.reverse();
    const page = keys.slice(0, Math.min(keysPerPage, Number(query.get("max-keys"))));
    const isTruncated = page.length < keys.length;
    const next = Buffer.from(page.at(-1) ?? "").toString("base64");
    const contents = page.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join("");
    const more = isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : "";
    return document(
      200,
      `<ListBucketResult><Name>${testBucket}</Name><IsTruncated>${isTruncated}</IsTruncated>${more}${contents}</ListBucketResult>`,
    );
  }

  #refused({ method, path, query, fields, body }: S3Request): Answer | undefined {
    const { aheadMs = 0, hasNoBucket, hasAnotherRegion, repeatsRequest } = this.behaviour;
    const date = fields.get("x-amz-date") ?? "";
    const sentAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
    if (Math.abs(Date.now() + aheadMs - sentAt) > skewMsMax)
      return failure(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
      );
    if (hasAnotherRegion !== undefined)
      return failure(
        400,
        "AuthorizationHeaderMalformed",
        "the region is wrong",
        `<Region>${hasAnotherRegion}</Region>`,
      );
    const signed = /SignedHeaders=([^,]*)/.exec(fields.get("authorization") ?? "")?.[1]?.split(";") ?? [];
    const condition = this.behaviour.stripsCondition === true ? ["if-none-match"] : [];
    const names = signed.map((name) => [name, condition.includes(name) ? "" : (fields.get(name) ?? "")] as const);
    const bodyHash = fields.get("x-amz-content-sha256") ?? "";
    const expected = authorizationOf({ method, path, query: [...query], fields: names, bodyHash }, testCredentials, {
      ...{ region: testRegion, service: "s3", date },
    });
    if (expected !== fields.get("authorization") || bodyHash !== hexHash(body)) {
      const words =
        repeatsRequest === true ? [...fields.values(), testCredentials.secretKey].join(" ") : "it does not match";
      return failure(403, "SignatureDoesNotMatch", words);
    }
    if (hasNoBucket === true) return failure(404, "NoSuchBucket", "The specified bucket does not exist");
    return undefined;
  }

  #send(socket: Socket, { status, body = "", fields = {} }: Answer): void {
    const bytes = Buffer.from(body);
    const lines = Object.entries({
      Date: new Date(Date.now() + (this.behaviour.aheadMs ?? 0)).toUTCString(),
      ...fields,
    });
    const head = `HTTP/1.1 ${status} Answer\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}`;
    if (fields["Transfer-Encoding"] === undefined) {
      const length = status === 204 ? "" : `Content-Length: ${bytes.length}\r\n`;
      socket.write(Buffer.concat([Buffer.from(`${head}${length}\r\n`), bytes]));
      return;
    }
    const half = Math.ceil(bytes.length / 2);
    socket.write(`${head}\r\n`);
    for (const part of [bytes.subarray(0, half), bytes.subarray(half)])
      if (part.length > 0)
        socket.write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]));
    socket.write("0\r\n\r\n");
  }
}

function requestOf(head: string, body: Buffer): S3Request {
  const [line = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = line.split(" ");
  const [path = "", query = ""] = target.split("?");
  const fields = new Map(
    lines.map((each) => {
      const colon = each.indexOf(":");
      return [each.slice(0, colon).toLowerCase(), each.slice(colon + 1).trim()] as const;
    }),
  );
  return { method, path, query: new URLSearchParams(query), fields, body };
}

const document = (status: number, xml: string): Answer => ({
  status,
  body: `<?xml version="1.0" encoding="UTF-8"?>\n${xml}`,
  fields: { "Content-Type": "application/xml" },
});

const escaped = (text: string): string =>
  text.replace(/[&<>]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[one] ?? "");

const failure = (status: number, code: string, message: string, more = ""): Answer =>
  document(status, `<Error><Code>${code}</Code><Message>${escaped(message)}</Message>${more}</Error>`);
