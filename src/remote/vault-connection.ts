/**
 * One connection of a client to a vault server: makes the session, and then one call at a time. Each call is one
 * attempt by construction: nothing here sends a request again.
 *
 * A call that fails says whether any byte of its request may have left (`isSent`): only then may it have taken effect.
 */
import type { VaultAddress } from "../core/vault-address.ts";
import { Buffer } from "node:buffer";
import { type HttpLimits, httpLimits } from "../http/limits.ts";
import { authority } from "../http/message/head.ts";
import { type ParsedResponse, readResponse } from "../http/message/read-response.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { ChunkUse, Tcp, TcpConnectUser, TcpSocket } from "../runtime/tcp/tcp.ts";
import type { KnownLog } from "./known-end.ts";
import { MessageReader, type MessageUser } from "./message-reader.ts";
import type { ServedAnswer, ServedCall } from "./served-calls.ts";
import { isNonce, SessionKey } from "./session.ts";
import {
  decodeError,
  greetingBytesMax,
  knownTarget,
  messageBytesMax,
  parseObject,
  sessionTarget,
  signatureField,
} from "./wire.ts";

/** `advice`: what an operator can do about it, where it is known. */
export class CallError extends Error {
  readonly isSent: boolean;
  readonly advice: string;
  constructor(
    isSent: boolean,
    found: string,
    advice = "Is the vault server up and reachable? It continues by itself then.",
  ) {
    super(found);
    this.isSent = isSent;
    this.advice = advice;
  }
}

export interface ConnectionOptions {
  readonly address: VaultAddress;
  /** The server must have one of them. */
  readonly secrets: readonly string[];
  readonly tcp: Tcp;
  /** Random, in hex. */
  readonly nonce: string;
  /** What the server must have. */
  readonly known: KnownLog;
}

interface Waiting {
  readonly method: string;
  readonly isSent: boolean;
  resolve(message: { readonly head: ParsedResponse; readonly body: Uint8Array }): void;
  reject(error: CallError): void;
}

export class VaultConnection implements TcpConnectUser, MessageUser<ParsedResponse> {
  /** Of what is known, when the server was asked about it. */
  adoptions = 0;
  readonly #options: ConnectionOptions;
  readonly #limits: HttpLimits = httpLimits({ bodyBytesMax: messageBytesMax });
  readonly #reader = new MessageReader<ParsedResponse>(this);
  readonly #connected = Promise.withResolvers<void>();
  readonly #socket: TcpSocket;
  #key: SessionKey | undefined;
  #number = 0;
  #waiting: Waiting | undefined;
  #closed: string | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#connected.promise.catch(() => undefined);
    this.#socket = options.tcp.connect(options.address.host, options.address.port, this);
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  get bodyBytesMax(): number {
    return this.#key === undefined ? greetingBytesMax : messageBytesMax;
  }

  /** Makes the session. Rejects with CallError, of which nothing was sent. */
  async open(): Promise<void> {
    const { nonce, secrets, known } = this.#options;
    await this.#connected.promise;
    const greeting = await this.#exchange(
      { method: "POST", target: sessionTarget, body: jsonBytes({ client: nonce }) },
      false,
    );
    const { server, proof, proofs } = parseObject(greeting.body) ?? {};
    // Of a server that knows a second secret; versions before rotation say `proof` alone.
    const proven: readonly unknown[] = [proof, ...(Array.isArray(proofs) ? proofs.slice(0, proofsMax) : [])];
    const key = !isNonce(server)
      ? undefined
      : secrets
          .map((secret) => new SessionKey(secret, nonce, server))
          .find((each) => proven.some((one) => each.isProof(one)));
    if (key === undefined)
      throw this.#abort(new CallError(false, "the server does not have this cluster's secret", secretAdvice));
    this.#key = key;
    const { end } = known;
    this.adoptions = known.adoptions;
    const body = jsonBytes({ position: end?.position ?? 0, digest: end?.digest ?? "" });
    const answer = await this.#signed({ method: "POST", target: knownTarget, body }, false);
    if (answer.status === 200) return;
    const { found, advice } = decodeError(answer.body) ?? { found: `it answered ${answer.status}`, advice: undefined };
    throw this.#abort(new CallError(false, `the vault server is not believed: ${found}`, advice));
  }

  /** One attempt. Rejects with CallError; the connection is closed then. */
  call(call: ServedCall): Promise<ServedAnswer> {
    return this.#signed(call, true);
  }

  /** Ends the call in progress. */
  abort(reason: string): void {
    this.#abort(new CallError(false, reason));
  }

  onConnect(): void {
    this.#connected.resolve();
  }

  parseHead(bytes: Buffer, from: number, to: number): { head: ParsedResponse; end: number } | undefined {
    const found = readResponse(bytes, from, to, this.#waiting?.method ?? "GET", this.#limits);
    return found === undefined ? undefined : { head: found.response, end: found.end };
  }

  onData(chunk: Buffer): ChunkUse {
    try {
      this.#reader.read(chunk);
    } catch (error) {
      this.#abort(new CallError(true, `the answer cannot be read: ${messageOf(error)}`));
    }
    return undefined;
  }

  onMessage(head: ParsedResponse, body: Uint8Array): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#abort(new CallError(false, "an answer to no request"));
    else waiting.resolve({ head, body });
  }

  onEnd(): void {
    this.#abort(new CallError(true, "the vault server ended the connection"));
  }

  onDrain(): void {}

  onClose(code: string | undefined): void {
    this.#abort(new CallError(true, `the connection is gone${code === undefined ? "" : ` (${code})`}`));
  }

  async #signed(call: ServedCall, isSent: boolean): Promise<ServedAnswer> {
    const key = this.#key;
    if (key === undefined) throw new CallError(false, "no session");
    const number = this.#number++;
    const { head, body } = await this.#exchange(call, isSent, key.signRequest(number, call));
    const answer = { status: head.status, body };
    if (key.isAnswer(number, answer, head.headers.get(signatureField.toLowerCase()))) return answer;
    const found =
      head.status === 401 ? "it does not accept this cluster's secret" : `its answer (${head.status}) is not signed`;
    throw this.#abort(new CallError(isSent, found, secretAdvice));
  }

  #exchange(
    { method, target, body }: ServedCall,
    isSent: boolean,
    signature?: string,
  ): Promise<{ readonly head: ParsedResponse; readonly body: Uint8Array }> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(new CallError(false, this.#closed));
      this.#waiting = { method, isSent, resolve, reject };
      const { host, port } = this.#options.address;
      const signed = signature === undefined ? "" : `${signatureField}: ${signature}\r\n`;
      const head = `${method} ${target} HTTP/1.1\r\nHost: ${authority(host, port)}\r\nContent-Length: ${body.length}\r\n${signed}\r\n`;
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      this.#socket.writeAll(bytes.length === 0 ? [head] : [head, bytes]);
    });
  }

  /** Returns the error for its caller. */
  #abort(error: CallError): CallError {
    if (this.#closed !== undefined) return error;
    this.#closed = error.message;
    this.#socket.destroy();
    this.#connected.reject(new CallError(false, error.message, error.advice));
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(new CallError(waiting.isSent, error.message, error.advice));
    return error;
  }
}

const proofsMax = 4;
const jsonBytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const secretAdvice = "The secret ([cluster]) must be the same on the vault server and on all hosts.";
