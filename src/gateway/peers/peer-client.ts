/**
 * The transport between gateways: one kept-alive connection per peer, one call at a time, each with a time limit. It
 * does not interpret messages; failures are data.
 */
import { Agent, type IncomingMessage } from "node:http";
import { Agent as SecureAgent } from "node:https";
import * as v from "valibot";
import { ChannelClient, type Contact, triesMax } from "../../control/channel/client.ts";
import type { FrameReader } from "../../control/channel/frames.ts";
import { anyOf } from "../../control/channel/transcript.ts";
import {
  peerMessageBytesMax,
  peerMessageSchema,
  peerRefusalSchema,
  peerSyncPath,
  type PeerMessage,
  type PeerRefusal,
} from "../../control/peer-api.ts";
import { readRefusalText } from "../../control/refusal-text.ts";
import { requestTo } from "../../control/json-call.ts";
import type { Clock } from "../../runtime/clock.ts";

export type SyncAnswer =
  | { readonly kind: "ok"; readonly message: PeerMessage }
  | { readonly kind: "refused"; readonly refusal: PeerRefusal }
  | { readonly kind: "failed"; readonly why: string; readonly isSecretRefused?: boolean };

type Raw =
  | { readonly kind: "answer"; readonly status: number; readonly text: string }
  /** Not executed: to be signed and sent again. */
  | { readonly kind: "again" }
  | { readonly kind: "broken"; readonly why: string; readonly wasIdle: boolean; readonly isSecretRefused?: boolean };

/** A peer, for its caller. */
export interface PeerTransport {
  /** Makes one exchange; a failure is an answer, not an exception. */
  sync(message: PeerMessage, timeoutMs: number, signal: AbortSignal): Promise<SyncAnswer>;
  close(): void;
}

export class PeerClient implements PeerTransport {
  readonly #url: string;
  readonly #contact: Contact;
  readonly #clock: Clock;
  readonly #channel: ChannelClient;
  readonly #agent: Agent;

  /** A secret alone stands for an operator. */
  constructor(url: string, caller: ChannelClient | string, clock: Clock) {
    this.#url = url;
    const channel = typeof caller === "string" ? ChannelClient.ofOperator(caller, clock) : caller;
    this.#channel = channel;
    this.#contact = channel.contact(url, anyOf("gateway"));
    const reuse = { keepAlive: true, maxSockets: 1 };
    this.#agent = channel.tls === undefined ? new Agent(reuse) : new SecureAgent(reuse);
    this.#clock = clock;
  }

  async sync(message: PeerMessage, timeoutMs: number, signal: AbortSignal): Promise<SyncAnswer> {
    const body = Buffer.from(JSON.stringify(message));
    let raw = await this.#call(body, timeoutMs, signal);
    // The other side may close an idle connection just as it is reused: that says nothing about the peer.
    if (raw.kind === "broken" && raw.wasIdle && !signal.aborted) raw = await this.#call(body, timeoutMs, signal);
    for (let tries = 1; raw.kind === "again" && tries < triesMax && !signal.aborted; tries++)
      raw = await this.#call(body, timeoutMs, signal);
    switch (raw.kind) {
      case "broken":
        return { kind: "failed", why: raw.why, isSecretRefused: raw.isSecretRefused === true };
      case "again":
        return { kind: "failed", why: "it does not take a message that was signed as it asked" };
      case "answer":
        return understand(raw.status, raw.text);
    }
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
      const fields = { "content-type": "application/json", "content-length": String(body.length) };
      const signed = this.#contact.sign({ method: "POST", path: peerSyncPath, fields, body });
      const headers = { ...fields, authorization: signed.authorization };
      const outgoing = requestTo(
        new URL(peerSyncPath, this.#url),
        { method: "POST", agent: this.#agent, headers },
        { caller: this.#channel, to: anyOf("gateway") },
      );
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
      outgoing.on("response", (response) => {
        const status = response.statusCode ?? 0;
        const verdict = signed.judge(status, response.headers);
        if (verdict.kind === "answer")
          return readText(response, verdict.frames, broken, (text) => settle({ kind: "answer", status, text }));
        // Read to its end, so that the connection can be used again.
        if (verdict.kind === "again") response.resume().once("end", () => settle({ kind: "again" }));
        else {
          const known = verdict.kind === "unauthorized" ? "it did not accept the cluster secret" : verdict.message;
          // With certificates it says what it refuses: this one's, or its secret.
          const refused = (why = known): void => {
            const isSecretRefused = verdict.kind === "unauthorized" && /secret/.test(why);
            settle({ kind: "broken", why, wasIdle: false, isSecretRefused });
          };
          if (status !== 401 || this.#channel.tls === undefined) refused();
          else readRefusalText(response).then(refused, () => refused());
        }
      });
      outgoing.end(body);
    });
  }
}

function readText(
  response: IncomingMessage,
  frames: FrameReader,
  broken: (why: string) => void,
  done: (text: string) => void,
): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    const part = frames.read(chunk);
    if (part === undefined) return broken("a part of its answer is not authentic");
    parts.push(part);
    bytes += part.length;
    if (bytes > peerMessageBytesMax) broken(`its answer has more than ${peerMessageBytesMax} bytes`);
  });
  response.on("end", () => {
    if (frames.isOver) done(Buffer.concat(parts).toString("utf8"));
    else broken("its answer was cut off");
  });
  response.on("error", (error) => broken(error.message));
  response.on("close", () => broken("the connection was closed in the middle of the answer"));
}

function understand(status: number, text: string): SyncAnswer {
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
