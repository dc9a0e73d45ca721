/**
 * The listening side of a vault server: authenticates connections (session.ts) and answers their calls, one at a time
 * for each connection.
 *
 * What a client may cost before it has proved that it has the secret is bounded: a few kilobytes, some seconds, and a
 * number of connections. `GET /health` needs no secret and says only that the server answers; `GET /status` needs it as
 * a bearer, as the control APIs do.
 */
import { Buffer } from "node:buffer";
import { type HttpLimits, httpLimits } from "../http/limits.ts";
import { ProtocolError } from "../http/message/protocol-error.ts";
import { type ParsedRequest, readRequest } from "../http/message/read-request.ts";
import { listenOn } from "../http/server/listen.ts";
import { BackgroundTasks } from "../runtime/background-tasks.ts";
import type { Clock } from "../runtime/clock.ts";
import { Deadlines, type Timed } from "../runtime/deadlines.ts";
import type { Random } from "../runtime/random.ts";
import { systemTcp } from "../runtime/tcp/system-tcp.ts";
import type { ChunkUse, Tcp, TcpListener, TcpSocket, TcpUser } from "../runtime/tcp/tcp.ts";
import { MessageReader, type MessageUser } from "./message-reader.ts";
import type { ServedAnswer, ServedCall } from "./served-calls.ts";
import { isNonce, nonceBytes, SessionKey } from "./session.ts";
import { greetingBytesMax, messageBytesMax, parseObject, sessionTarget, signatureField } from "./wire.ts";

/** From the connection until its session. */
const greetingMsMax = 10_000;
/** Clients close an unused connection earlier. */
const idleMsMax = 15 * 60_000;
const connectionsMax = 1_024;

export interface VaultServerOptions {
  readonly host: string;
  readonly port: number;
  /** Those that are valid now, at least one. */
  readonly secrets: () => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly tcp?: Tcp;
  /** Never rejects. */
  answer(call: ServedCall): Promise<ServedAnswer>;
  /** Body of `GET /status`. */
  status(): Promise<Readonly<Record<string, unknown>>>;
  onRefused(reason: string, address: string): void;
}

export class VaultServer {
  readonly options: VaultServerOptions;
  readonly limits: HttpLimits = httpLimits({ bodyBytesMax: messageBytesMax });
  readonly deadlines: Deadlines;
  readonly work = new BackgroundTasks();
  readonly #connections = new Set<ServedConnection>();
  #listener: TcpListener | undefined;

  /** Throws ListenError. */
  static async listen(options: VaultServerOptions): Promise<VaultServer> {
    const server = new VaultServer(options);
    const { host, port, tcp = systemTcp } = options;
    server.#listener = await listenOn(tcp, { host, port }, (socket) => server.#accept(socket));
    return server;
  }

  private constructor(options: VaultServerOptions) {
    this.options = options;
    this.deadlines = new Deadlines(options.clock);
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts nothing more, and ends every connection: calls in progress are not answered. */
  abort(): void {
    this.#listener?.close();
    for (const connection of [...this.#connections]) connection.abort();
  }

  onClosed(connection: ServedConnection): void {
    this.#connections.delete(connection);
    this.deadlines.remove(connection);
  }

  #accept(socket: TcpSocket): void {
    if (this.#connections.size >= connectionsMax) {
      this.options.onRefused("too many connections", socket.remoteAddress);
      socket.destroy();
      return;
    }
    const connection = new ServedConnection(this, socket);
    this.#connections.add(connection);
    this.deadlines.add(connection);
    connection.deadlineAt = this.deadlines.after(greetingMsMax);
  }
}

/** `new`: without a session; `greeted`: the server has proved the secret, the client has not yet. */
type SessionState =
  | { readonly kind: "new" }
  /** `keys`: one for each valid secret. */
  | { readonly kind: "greeted"; readonly keys: readonly SessionKey[]; readonly number: 0 }
  | { readonly kind: "proved"; readonly key: SessionKey; readonly number: number };

class ServedConnection implements TcpUser, Timed, MessageUser<ParsedRequest> {
  deadlineAt = Infinity;
  readonly #server: VaultServer;
  readonly #socket: TcpSocket;
  readonly #reader: MessageReader<ParsedRequest>;
  #session: SessionState = { kind: "new" };
  #isBusy = false;
  #isClosed = false;

  constructor(server: VaultServer, socket: TcpSocket) {
    this.#server = server;
    this.#socket = socket;
    this.#reader = new MessageReader(this);
    socket.use(this);
  }

  get bodyBytesMax(): number {
    return this.#session.kind === "proved" ? messageBytesMax : greetingBytesMax;
  }

  parseHead(bytes: Buffer, from: number, to: number): { head: ParsedRequest; end: number } | undefined {
    const found = readRequest(bytes, from, to, this.#server.limits);
    return found === undefined ? undefined : { head: found.request, end: found.end };
  }

  onData(chunk: Buffer): ChunkUse {
    try {
      this.#reader.read(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(error.status, error.message);
    }
    return undefined;
  }

  onMessage(head: ParsedRequest, body: Uint8Array): void {
    // A client sends its next request once it has the answer.
    if (this.#isBusy) return this.#refuse(400, "a request before the answer to the one before");
    this.#isBusy = true;
    this.deadlineAt = Infinity;
    const call = { method: head.method, target: head.target, body };
    if (this.#session.kind !== "new") this.#server.work.own(this.#answer(head, call));
    else if (call.target === sessionTarget) this.#greet(call);
    else this.#server.work.own(this.#answerPlain(head));
  }

  onEnd(): void {
    this.abort();
  }

  onDrain(): void {}

  onClose(): void {
    this.#isClosed = true;
    this.#server.onClosed(this);
  }

  onDeadline(): void {
    this.abort();
  }

  abort(): void {
    this.#socket.destroy();
    this.onClose();
  }

  #greet({ body }: ServedCall): void {
    const nonce = parseObject(body)?.["client"];
    if (!isNonce(nonce)) return this.#refuse(400, "a session needs a nonce");
    const { random, secrets } = this.#server.options;
    const own = Buffer.from(random.bytes(nonceBytes)).toString("hex");
    const keys = secrets().map((secret) => new SessionKey(secret, nonce, own));
    this.#session = { kind: "greeted", keys, number: 0 };
    const [proof, ...proofs] = keys.map((key) => key.proof);
    this.#send({ status: 200, body: Buffer.from(JSON.stringify({ server: own, proof, proofs })) });
    this.deadlineAt = this.#server.deadlines.after(greetingMsMax);
  }

  async #answer(head: ParsedRequest, call: ServedCall): Promise<void> {
    const session = this.#session;
    if (session.kind === "new") return;
    const { number } = session;
    const signature = head.headers.get(signatureField.toLowerCase());
    const keys = session.kind === "greeted" ? session.keys : [session.key];
    const key = keys.find((each) => each.isRequest(number, call, signature));
    if (key === undefined) return this.#refuse(401, "a request that is not signed with the cluster's secret");
    this.#session = { kind: "proved", key, number: number + 1 };
    const answer = await this.#server.options.answer(call);
    if (this.#isClosed) return;
    this.#send(answer, key.signAnswer(number, answer));
    this.deadlineAt = this.#server.deadlines.after(idleMsMax);
  }

  async #answerPlain(head: ParsedRequest): Promise<void> {
    const { secrets, status } = this.#server.options;
    const given = head.headers.get("authorization");
    const isAllowed = secrets().some((secret) => given === `Bearer ${secret}`);
    if (head.target === "/health") this.#answerLast({ status: 200, body: Buffer.from('{"ok":true}\n') });
    else if (head.target === "/status" && isAllowed)
      this.#answerLast({ status: 200, body: Buffer.from(`${JSON.stringify(await status())}\n`) });
    else this.#refuse(401, "a call without a session");
  }

  #refuse(status: number, reason: string): void {
    this.#server.options.onRefused(reason, this.#socket.remoteAddress);
    this.#answerLast({ status, body: Buffer.from(`${JSON.stringify({ error: reason })}\n`) });
  }

  #answerLast(answer: ServedAnswer): void {
    if (this.#isClosed) return;
    this.#send(answer, undefined, "Connection: close\r\n");
    this.#socket.end();
    this.#socket.pause();
    this.deadlineAt = this.#server.deadlines.after(1_000);
  }

  #send({ status, body }: ServedAnswer, signature?: string, more = ""): void {
    this.#isBusy = false;
    const signed = signature === undefined ? "" : `${signatureField}: ${signature}\r\n`;
    const length = status === 204 ? "" : `Content-Length: ${body.length}\r\n`;
    const head = `HTTP/1.1 ${status} ${reasons[status] ?? "Answer"}\r\n${length}${signed}${more}\r\n`;
    this.#socket.writeAll(body.length === 0 ? [head] : [head, asBuffer(body)]);
  }
}

const reasons: Readonly<Record<number, string>> = { 200: "OK", 201: "Created", 204: "No Content", 404: "Not Found" };

export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
