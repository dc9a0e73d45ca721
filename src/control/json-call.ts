/**
 * One call over the authenticated channel (channel/transcript.ts), or with a token as a bearer, for clients of a
 * control API: a JSON answer, or lines of JSON as they arrive.
 *
 * Each call has its own connection. At a few calls per second that costs little, and it makes a refusal meaningful: on
 * a kept-alive connection the death of the other side looks like a reset, which could also be an idle time-out.
 * Failures are data, not exceptions: callers judge hosts by them.
 */
import { request, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as secureRequest } from "node:https";
import { StringDecoder } from "node:string_decoder";
import type { Clock, Timer } from "../runtime/clock.ts";
import { hasSpareDescriptors, isOwnShortage, verifyRefusal, type RefusalVerdict } from "../runtime/tcp/refusal.ts";
import { isBaseUrl } from "../core/base-url.ts";
import { type ChannelClient, type Contact, type SignedCall, triesMax } from "./channel/client.ts";
import type { Party } from "./channel/transcript.ts";
import { readRefusalText } from "./refusal-text.ts";
import { type AccessToken, TokenContact } from "./access-token.ts";

export type CallFailure =
  /** No process listens there. */
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "timeout"; readonly message: string }
  /** The connection broke. */
  | { readonly kind: "reset"; readonly message: string }
  /** The answer violates the contract. */
  | { readonly kind: "invalid"; readonly message: string }
  /** The other side does not accept our credentials. */
  | { readonly kind: "unauthorized"; readonly message: string }
  /** Aborted by the caller's signal. */
  | { readonly kind: "aborted"; readonly message: string }
  | NoEvidence;

/** The failure says nothing about the other side. */
export interface NoEvidence {
  readonly kind: "no-evidence";
  readonly message: string;
  /** This machine could not make the call: it lacks descriptors, ports or memory. */
  readonly isShortage: boolean;
}

export interface CallOptions {
  readonly baseUrl: string;
  /** Who calls: a process or operator of the cluster, over its channel, or the holder of a token. */
  readonly caller: ChannelClient | AccessToken;
  /** The server that is meant; over the channel another one is not believed, and does not execute the call. */
  readonly to: Party;
  readonly clock: Clock;
  /** Sent with every call, in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface JsonCall {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  /** Headers of this call, in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export type JsonAnswer = { readonly kind: "answer"; readonly status: number; readonly body: unknown } | CallFailure;

/** Longest accepted body or line of an answer; more is `invalid`. */
export const answerBytesMax = 4 * 1024 * 1024;

/** Calls, and parses the whole answer as JSON. */
export async function callJson(options: CallOptions, call: JsonCall): Promise<JsonAnswer> {
  let text = "";
  const end = await callStream(options, call, {
    silenceMs: call.timeoutMs,
    wholeMs: call.timeoutMs,
    onChunk: (chunk) => {
      text += chunk;
      return text.length <= answerBytesMax;
    },
  });
  if (end.kind !== "ended") return end;
  try {
    return { kind: "answer", status: end.status, body: text === "" ? null : (JSON.parse(text) as unknown) };
  } catch {
    return { kind: "invalid", message: `${call.path} did not answer with JSON (status ${end.status})` };
  }
}

export interface LineCall extends Omit<JsonCall, "timeoutMs"> {
  /** Limit for the head of the answer. */
  readonly timeoutMs: number;
  /** Longest accepted pause between two lines; Infinity: no limit. */
  readonly silenceMs: number;
}

export type LinesEnd =
  | { readonly kind: "ended"; readonly status: number }
  /** Not a stream: the body of an answer with a status other than 200. */
  | { readonly kind: "answer"; readonly status: number; readonly body: unknown }
  | CallFailure;

/** Calls, and passes on each line of an NDJSON answer, parsed. `onLine` returns false to end the call as invalid. */
export async function callLines(
  options: CallOptions,
  call: LineCall,
  onLine: (value: unknown) => boolean,
): Promise<LinesEnd> {
  // Of a line that is not complete yet. Only what is new is searched for line ends: a line that arrives byte by byte
  // would otherwise be searched as often as it has bytes.
  let begun: string[] = [];
  let begunLength = 0;
  let malformed = false;
  const take = (line: string): boolean => {
    if (line.trim() === "") return true;
    try {
      return onLine(JSON.parse(line) as unknown);
    } catch {
      malformed = true;
      return false;
    }
  };
  const end = await callStream(options, call, {
    silenceMs: call.silenceMs,
    wholeMs: Infinity,
    onChunk: (chunk, status) => {
      const [end = "", ...more] = status === 200 ? chunk.split("\n") : [chunk];
      begun.push(end);
      begunLength += end.length;
      if (more.length === 0) return begunLength <= answerBytesMax;
      const rest = more.pop() ?? "";
      const line = begun.join("");
      [begun, begunLength] = [[rest], rest.length];
      return take(line) && more.every(take);
    },
  });
  if (malformed) return { kind: "invalid", message: `${call.path} sent a line that is not JSON` };
  if (end.kind !== "ended" || end.status === 200) return end;
  try {
    return { kind: "answer", status: end.status, body: JSON.parse(begun.join("")) as unknown };
  } catch {
    return { kind: "invalid", message: `${call.path} answered ${end.status} without JSON` };
  }
}

interface Reading {
  readonly silenceMs: number;
  readonly wholeMs: number;
  /** Returns false if the answer is invalid, to end the call. */
  onChunk(chunk: string, status: number): boolean;
}

type StreamEnd = { readonly kind: "ended"; readonly status: number } | CallFailure;
/** `again`: not executed, and the contact has learned how to sign the call. */
type TryEnd = StreamEnd | { readonly kind: "again" };

/** The limits of time are those of each try: a second one is needed only for a server that has not been met. */
async function callStream(options: CallOptions, call: JsonCall, reading: Reading): Promise<StreamEnd> {
  const { baseUrl, caller, to } = options;
  // It may come from a row or a record; one that cannot be called is no evidence about a host.
  if (!isBaseUrl(baseUrl))
    return { kind: "no-evidence", isShortage: false, message: `"${baseUrl.slice(0, 100)}" cannot be called` };
  // A server that refuses an expired certificate is right, and proves nothing about itself.
  if (caller.tls?.isExpired === true)
    return { kind: "no-evidence", isShortage: false, message: "the certificate of this process has expired" };
  const contact = "token" in caller ? new TokenContact(caller) : caller.contact(baseUrl, to);
  for (let tries = 0; tries < triesMax; tries++) {
    const end = await tryOnce(contact, options, call, reading);
    if (end.kind !== "again") return end;
  }
  return { kind: "invalid", message: `${baseUrl} does not take a call that was signed as it asked` };
}

function tryOnce(
  contact: Contact | TokenContact,
  options: CallOptions,
  call: JsonCall,
  reading: Reading,
): Promise<TryEnd> {
  return new Promise((resolve) => {
    if (call.signal?.aborted === true) {
      resolve({ kind: "aborted", message: "aborted before it began" });
      return;
    }
    const { outgoing, signed } = open(contact, options, call);
    let timer = deadline(options.clock, call.timeoutMs, () => timedOut(`no answer within ${call.timeoutMs} ms`));
    const whole = Number.isFinite(reading.wholeMs)
      ? deadline(options.clock, reading.wholeMs, () => timedOut(`not done within ${reading.wholeMs} ms`))
      : null;
    const onAbort = (): void => settle({ kind: "aborted", message: "aborted" });
    let over = false;
    const settle = (end: TryEnd): void => {
      if (over) return;
      over = true;
      timer.cancel();
      whole?.cancel();
      call.signal?.removeEventListener("abort", onAbort);
      outgoing.destroy();
      resolve(end);
    };
    const timedOut = (message: string): void =>
      settle({ kind: "timeout", message: `${options.baseUrl}${call.path}: ${message}` });
    const rearm = (): void => {
      timer.cancel();
      if (Number.isFinite(reading.silenceMs)) {
        timer = deadline(options.clock, reading.silenceMs, () => timedOut(`silent for ${reading.silenceMs} ms`));
      }
    };
    call.signal?.addEventListener("abort", onAbort, { once: true });
    outgoing.on("error", (error: NodeJS.ErrnoException) =>
      judgeFailure(error, new URL(call.path, options.baseUrl), settle),
    );
    outgoing.on("response", (response) => {
      rearm();
      const isCertified = options.caller.tls !== undefined;
      readAnswer(response, { call, signed, isCertified, reading, rearm, settle });
    });
  });
}

/** A timer that fires this late shows that this process was suspended or starved. */
const lateMs = 50;
/** Grace period after a late timer, for reading what arrived meanwhile. */
const graceMs = 50;

/**
 * Starts a time limit that does not mistake a pause of this process for silence of the other side. After a pause (a
 * stopped virtual machine, a starved CPU) timers fire together with answers that arrived long ago, and may run first.
 */
function deadline(clock: Clock, ms: number, expire: () => void): Timer {
  const dueAt = clock.now() + ms;
  let timer = clock.setTimer(ms, () => {
    if (clock.now() - dueAt < lateMs) expire();
    else timer = clock.setTimer(graceMs, expire);
  });
  return { cancel: () => timer.cancel() };
}

type Signed = SignedCall | ReturnType<TokenContact["sign"]>;

interface Answering {
  readonly call: JsonCall;
  readonly signed: Signed;
  /** The server has shown the certificate of who was meant. */
  readonly isCertified: boolean;
  readonly reading: Reading;
  rearm(): void;
  settle(end: TryEnd): void;
}

function readAnswer(response: IncomingMessage, answering: Answering): void {
  const { call, signed, isCertified, reading, rearm, settle } = answering;
  const status = response.statusCode ?? 0;
  const verdict = signed.judge(status, response.headers);
  if (isCertified && status === 401 && (verdict.kind === "unauthorized" || verdict.kind === "invalid"))
    return void readRefusalText(response).then((why) => settle({ ...verdict, message: why ?? verdict.message }));
  if (verdict.kind !== "answer" && verdict.kind !== "unsealed") return settle(verdict);
  const frames = verdict.kind === "answer" ? verdict.frames : undefined;
  const text = new StringDecoder("utf8");
  response.on("data", (chunk: Buffer) => {
    rearm();
    const bytes = frames === undefined ? chunk : frames.read(chunk);
    if (bytes === undefined)
      settle({ kind: "invalid", message: `${call.path}: a part of the answer is not authentic` });
    else if (bytes.length > 0 && !reading.onChunk(text.write(bytes), status))
      settle({ kind: "invalid", message: `${call.path} answered what the contract does not have` });
    else if (frames?.isOver === true) settle({ kind: "ended", status });
  });
  const lose = (): void => settle({ kind: "reset", message: "the connection was closed in the middle of the answer" });
  response.on("end", () => (frames === undefined ? settle({ kind: "ended", status }) : lose()));
  response.on("error", (error: NodeJS.ErrnoException) => settle({ kind: "reset", message: error.message }));
  response.on("close", lose);
}

function open(
  contact: Contact | TokenContact,
  options: CallOptions,
  call: JsonCall,
): { readonly outgoing: ClientRequest; readonly signed: Signed } {
  const url = new URL(call.path, options.baseUrl);
  const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
  const fields = {
    accept: "application/json, application/x-ndjson",
    ...options.headers,
    ...call.headers,
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": String(body.length) }),
  };
  const signed = contact.sign({ method: call.method, path: url.pathname + url.search, fields, body });
  const headers = { ...fields, authorization: signed.authorization };
  const outgoing = requestTo(url, { method: call.method, agent: false, headers }, options);
  if (body === undefined) outgoing.end();
  else outgoing.end(body);
  return { outgoing, signed };
}

/** Begins a request to a base URL, which says where the server is; how it is reached is `caller.tls`. */
export function requestTo(
  url: URL,
  options: Pick<RequestOptions, "method" | "agent" | "headers" | "signal">,
  { caller, to }: Pick<CallOptions, "caller" | "to">,
): ClientRequest {
  if (caller.tls === undefined) return request(url, options);
  return secureRequest({
    ...options,
    ...caller.tls.callOptions(to),
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port || 80,
    path: url.pathname + url.search,
  });
}

/** Errors of a handshake: what answers is not the server that was meant, or does not want this process. */
const handshakeError = /^(?:ERR_(?:SSL|TLS)|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO|STEAD_WRONG_IDENTITY)/;

/**
 * Tells `done`, once, what a call that failed with `error` before its answer says about the other side (runtime/tcp/
 * refusal.ts).
 */
export function judgeFailure(error: NodeJS.ErrnoException, url: URL, done: (failure: CallFailure) => void): void {
  const { code } = error;
  const message = `${url.href}: ${error.message || (code ?? "failed")}`;
  if (code === "ECONNREFUSED") verifyRefusal(url, (verdict) => done(judgedRefusal(verdict, message)));
  else if (isOwnShortage(code) || !hasSpareDescriptors()) done(shortage(url, code));
  else if (code === "ETIMEDOUT" || code === "EHOSTUNREACH" || code === "ENETUNREACH")
    done({ kind: "timeout", message });
  else if (code !== undefined && handshakeError.test(code)) done({ kind: "invalid", message });
  else if (code?.startsWith("HPE_") === true) done({ kind: "invalid", message });
  else done({ kind: "reset", message });

  function judgedRefusal(verdict: RefusalVerdict, refused: string): CallFailure {
    switch (verdict) {
      case "refused":
        return { kind: "refused", message: refused };
      case "reached":
        return { kind: "no-evidence", isShortage: false, message: `${refused}, and at once accepted again` };
      case "short":
        return shortage(url, undefined);
      case "unproven":
        return { kind: "reset", message: refused };
    }
  }
}

const shortage = (url: URL, code: string | undefined): NoEvidence => ({
  kind: "no-evidence",
  isShortage: true,
  message: `${url.href} could not be called: this process is out of ${code === "EADDRNOTAVAIL" ? "local ports" : "descriptors"}`,
});
