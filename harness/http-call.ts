/** One HTTP call of a client, over kept-alive sockets, with a time limit. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { Agent as SecureAgent, request as secureRequest } from "node:https";
import type { TlsCallOptions } from "../src/control/channel/secure-calls.ts";

export interface CallOptions {
  readonly method: string;
  readonly url: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** From the call to the last byte of the answer. */
  readonly timeoutMs: number;
}

export interface CallAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Kept-alive connections, at most `sockets` of them. Close it in the end. */
export class HttpCaller {
  readonly #agent: Agent;
  readonly #tls: TlsCallOptions | undefined;

  /** `tls`: for URLs of processes that speak mutual TLS, whatever their scheme. */
  constructor(sockets: number, tls?: TlsCallOptions) {
    const reuse = { keepAlive: true, maxSockets: sockets, maxFreeSockets: sockets };
    this.#agent = tls === undefined ? new Agent(reuse) : new SecureAgent(reuse);
    this.#tls = tls;
  }

  /** Resolves with the whole answer, whatever its status; rejects when the connection failed or time ran out. */
  call(options: CallOptions): Promise<CallAnswer> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string> = { ...options.headers };
      if (options.body !== undefined) {
        headers["Content-Type"] ??= "application/json";
        headers["Content-Length"] = String(Buffer.byteLength(options.body));
      }
      const how = { method: options.method, headers, agent: this.#agent };
      const onAnswer = (answer: IncomingMessage): void => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.once("error", fail);
        answer.once("aborted", () => fail(new Error("the connection ended in the middle of the answer")));
        answer.once("end", () => {
          clearTimeout(timer);
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            text: Buffer.concat(chunks).toString("utf8"),
          });
        });
      };
      const call =
        this.#tls === undefined
          ? request(options.url, how, onAnswer)
          : secureRequest(options.url.replace(/^http:/, "https:"), { ...how, ...this.#tls }, onAnswer);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        call.destroy();
        reject(error);
      };
      const timer = setTimeout(() => fail(new Error(`no answer within ${options.timeoutMs} ms`)), options.timeoutMs);
      call.once("error", fail);
      call.end(options.body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** The body as JSON, or undefined. */
export function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
