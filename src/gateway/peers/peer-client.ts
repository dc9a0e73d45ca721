/**
 * The transport between gateways: one kept-alive connection per peer, one call at a time, each with a time limit. It
 * does not interpret messages; failures are data.
 */
import { Agent, request, type IncomingMessage } from "node:http";
import * as v from "valibot";
import { bearer } from "../../control/bearer.ts";
import {
  peerMessageBytesMax,
  peerMessageSchema,
  peerRefusalSchema,
  type PeerMessage,
  type PeerRefusal,
} from "../../control/peer-api.ts";
import type { Clock } from "../../runtime/clock.ts";

export type SyncAnswer =
  | { readonly kind: "ok"; readonly message: PeerMessage }
  | { readonly kind: "refused"; readonly refusal: PeerRefusal }
  | { readonly kind: "failed"; readonly why: string };

type Raw =
  | { readonly kind: "answer"; readonly status: number; readonly text: string }
  | { readonly kind: "broken"; readonly why: string; readonly wasIdle: boolean };

/** A peer, for its caller. */
export interface PeerTransport {
  /** Makes one exchange; a failure is an answer, not an exception. */
  sync(message: PeerMessage, timeoutMs: number, signal: AbortSignal): Promise<SyncAnswer>;
  close(): void;
}

export class PeerClient implements PeerTransport {
  readonly #url: string;
  readonly #secret: string;
  readonly #clock: Clock;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(url: string, secret: string, clock: Clock) {
    this.#url = url;
    this.#secret = secret;
    this.#clock = clock;
  }

  async sync(message: PeerMessage, timeoutMs: number, signal: AbortSignal): Promise<SyncAnswer> {
    const body = Buffer.from(JSON.stringify(message));
    let raw = await this.#call(body, timeoutMs, signal);
    // The other side may close an idle connection just as it is reused: that says nothing about the peer.
    if (raw.kind === "broken" && raw.wasIdle && !signal.aborted) raw = await this.#call(body, timeoutMs, signal);
    if (raw.kind === "broken") return { kind: "failed", why: raw.why };
    return understand(raw.status, raw.text);
  }

  close(): void {
    this.#agent.destroy();
  }

  #call(body: Buffer, timeoutMs: number, signal: AbortSignal): Promise<Raw> {
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve({ kind: "broken", why: "aborted", wasIdle: false });
        return;
      }
      const outgoing = request(new URL("/v1/peer/sync", this.#url), {
        method: "POST",
        agent: this.#agent,
        headers: {
          authorization: bearer(this.#secret),
          "content-type": "application/json",
          "content-length": body.length,
        },
      });
      let over = false;
      const settle = (raw: Raw): void => {
        if (over) return;
        over = true;
        timer.cancel();
        signal.removeEventListener("abort", onAbort);
        if (raw.kind === "broken") outgoing.destroy();
        resolve(raw);
      };
      const broken = (why: string): void => settle({ kind: "broken", why, wasIdle: false });
      const timer = this.#clock.setTimer(timeoutMs, () => broken(`no answer within ${timeoutMs} ms`));
      const onAbort = (): void => broken("aborted");
      signal.addEventListener("abort", onAbort, { once: true });
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        const wasIdle = outgoing.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
        settle({ kind: "broken", why: error.message || (error.code ?? "failed"), wasIdle });
      });
      outgoing.on("response", (response) =>
        readText(response, broken, (text) => settle({ kind: "answer", status: response.statusCode ?? 0, text })),
      );
      outgoing.end(body);
    });
  }
}

function readText(response: IncomingMessage, broken: (why: string) => void, done: (text: string) => void): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  response.on("data", (part: Buffer) => {
    parts.push(part);
    bytes += part.length;
    if (bytes > peerMessageBytesMax) broken(`its answer has more than ${peerMessageBytesMax} bytes`);
  });
  response.on("end", () => done(Buffer.concat(parts).toString("utf8")));
  response.on("error", (error) => broken(error.message));
  response.on("close", () => broken("the connection was closed in the middle of the answer"));
}

function understand(status: number, text: string): SyncAnswer {
  if (status === 401) return { kind: "failed", why: "it did not accept the cluster secret" };
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { kind: "failed", why: `it answered ${status} without JSON: is this a gateway's admin address?` };
  }
  if (status === 200) {
    const parsed = v.safeParse(peerMessageSchema, body);
    return parsed.success
      ? { kind: "ok", message: parsed.output }
      : { kind: "failed", why: `its answer is of another version: ${v.summarize(parsed.issues)}` };
  }
  const refusal = v.safeParse(peerRefusalSchema, body);
  return refusal.success
    ? { kind: "refused", refusal: refusal.output }
    : { kind: "failed", why: `it answered ${status}` };
}
