/**
 * The front of a host: the data listener that stands before the application.
 *
 * It listens from the start of the host process to its end, whatever the host's role. A host that is not primary answers
 * every request with 503 `Stead-Outcome: not-executed`, so that a gateway may send it again elsewhere without doubt.
 * A primary forwards to the application, and the journal's gate decides when each chunk of the answer may leave.
 */
import type { Address, HttpLimits } from "../config/types.ts";
import type { Clock } from "../runtime/clock.ts";
import { epochField, isOfEpoch } from "../core/replay.ts";
import { CommonEnd } from "../http/common-end.ts";
import type { Exchange, ForwardOptions, ForwardOutcome, ForwardUser, Handling } from "../http/exchange.ts";
import type { HeaderList } from "../http/headers.ts";
import { fieldSet, STEAD } from "../http/known-fields.ts";
import type { HttpLimits as ServerLimits } from "../http/limits.ts";
import { HttpServer } from "../http/server.ts";
import { Upstream } from "../http/upstream.ts";
import { OpenRequests } from "./open-requests.ts";

/** One term as primary, as the front sees it. */
export interface Term {
  readonly epoch: number;
  gate(): void | Promise<void>;
  /** The loopback address and port at which the application listens; others after a restart perhaps. */
  readonly applicationHost: string;
  readonly applicationPort: number;
  /** Resolves when the application takes requests; it may be restarting. */
  whenReady(): Promise<void>;
  readonly isReady: boolean;
  /** The application asked for a checkpoint with `Stead-Checkpoint: now`. */
  onCheckpointAsked(): void;
}

type FrontState =
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "open"; readonly term: Term; readonly upstream: Upstream; readonly end: CommonEnd; readonly forward: ForwardOptions; readonly user: ForwardUser }
  | { readonly kind: "draining"; readonly upstream: Upstream; readonly end: CommonEnd };

/** How long a request waits for an application that is being restarted before it is given back. */
const restartWaitMs = 5_000;

export interface FrontOptions {
  readonly listen: Address;
  readonly limits: HttpLimits;
  readonly clock: Clock;
}

/** What a host and its terms need of the front: the simulation brings its own. */
export type FrontPort = Pick<Front, "serve" | "shut" | "drain" | "port">;

export class Front {
  readonly #options: FrontOptions;
  #server: HttpServer | undefined;
  #state: FrontState = { kind: "closed", reason: "starting" };
  #active = 0;
  readonly #open = new OpenRequests();
  #idle: (() => void) | undefined;

  private constructor(options: FrontOptions) {
    this.#options = options;
  }

  /** Listens; throws the server's error when the port is in use. */
  static async listen(options: FrontOptions): Promise<Front> {
    const front = new Front(options);
    front.#server = await HttpServer.listen({
      host: options.listen.host,
      port: options.listen.port,
      clock: options.clock,
      limits: frontLimits(options.limits),
      onExchange: (exchange) => front.#onExchange(exchange),
    });
    return front;
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** Requests in flight to the application. */
  get active(): number {
    return this.#active;
  }

  /** Requests that the application has and has not answered, and what goes between it and its clients. */
  get requests(): OpenRequests {
    return this.#open;
  }

  /** Opens the gate for a term. */
  serve(term: Term): void {
    const upstream = this.#upstreamTo(term);
    const end = new CommonEnd();
    const forward: ForwardOptions = {
      gate: () => {
        this.#open.onAnswer();
        return term.gate();
      },
      end,
      // An application that says `Stead-Outcome: not-executed` is not believed: only hosts may say so.
      upstreamIsHost: false,
      editRequestFields: withoutOurs,
      editResponseFields: ({ headers }) => takeSteadFields(headers, term),
    };
    const user: ForwardUser = { onOutcome: (exchange, _upstream, outcome) => this.#onOutcome(exchange, end, outcome) };
    this.#state = { kind: "open", term, upstream, end, forward, user };
  }

  #upstreamTo({ applicationHost: host, applicationPort: port }: Term): Upstream {
    const { limits, clock } = this.#options;
    return new Upstream({ host, port, limits: frontLimits(limits), clock });
  }

  /** Where the application is now: started again, it may have another port. */
  #currentUpstream(state: FrontState & { kind: "open" }): Upstream {
    const { term, upstream } = state;
    if (upstream.port === term.applicationPort && upstream.host === term.applicationHost) return upstream;
    const next = this.#upstreamTo(term);
    if (this.#state === state) this.#state = { ...state, upstream: next };
    upstream.close("the application was started again at another port");
    return next;
  }

  /** Not a byte more: every exchange in flight is cut, new ones are refused. Synchronous. */
  shut(reason: string): void {
    const state = this.#state;
    this.#state = { kind: "closed", reason };
    if (state.kind === "closed") return;
    state.end.end(reason);
    state.upstream.close(reason);
  }

  /** Refuses new requests and waits until those in flight are answered, at most `timeoutMs`; then cuts the rest. */
  async drain(timeoutMs: number): Promise<{ readonly cut: number }> {
    if (this.#state.kind !== "open") return { cut: 0 };
    const { upstream, end } = this.#state;
    this.#state = { kind: "draining", upstream, end };
    if (this.#active > 0) {
      const idle = new Promise<void>((resolve) => (this.#idle = resolve));
      const timer = this.#options.clock.setTimer(timeoutMs, () => this.#idle?.());
      await idle;
      timer.cancel();
    }
    return { cut: this.#active };
  }

  async close(): Promise<void> {
    this.shut("the host process ends");
    await this.#server?.close({ drainMs: 0 });
  }

  #onExchange(exchange: Exchange): Handling {
    const state = this.#state;
    if (state.kind !== "open") return refuse(exchange, state.kind === "draining" ? "this host is stepping down" : `this host is not primary: ${state.reason}`);
    const { term, forward, user } = state;
    const { headers } = exchange.request;
    const routedFor = headers.mayHave(ours) ? headers.get(epochField) : undefined;
    if (!isOfEpoch(routedFor, term.epoch)) {
      return refuse(exchange, `the request was routed for epoch ${(routedFor ?? "").replace(/[^0-9]/g, "").slice(0, 16)}; this host serves epoch ${term.epoch}`);
    }
    this.#active += 1;
    this.#open.begin(exchange, this.#options.clock.now());
    if (!term.isReady) return this.#forwardWhenReady(exchange, state);
    exchange.forwardTo(this.#currentUpstream(state), forward, user);
    return undefined;
  }

  async #forwardWhenReady(exchange: Exchange, state: FrontState & { kind: "open" }): Promise<void> {
    const { term, end, forward } = state;
    try {
      if (await readyWithin(term, this.#options.clock, end)) await answerTo(exchange, end, await exchange.forward(this.#upstreamAfterWait(state), forward));
      else await refuse(exchange, end.reason === undefined ? "the application is restarting" : "this host is not primary any more");
    } finally {
      this.#leave(exchange);
    }
  }

  /** Others that waited may have found the new port already. */
  #upstreamAfterWait(state: FrontState & { kind: "open" }): Upstream {
    const now = this.#state;
    return now.kind === "open" && now.term === state.term ? this.#currentUpstream(now) : state.upstream;
  }

  /** The exchange is no longer in flight to the application. */
  #leave(exchange: Exchange): void {
    this.#open.end(exchange);
    this.#active -= 1;
    if (this.#active === 0) this.#idle?.();
  }

  #onOutcome(exchange: Exchange, end: CommonEnd, outcome: ForwardOutcome): Handling {
    const answering = answerTo(exchange, end, outcome);
    this.#leave(exchange);
    return answering;
  }
}

/** What is left to say to the client. */
function answerTo(exchange: Exchange, end: CommonEnd, outcome: ForwardOutcome): Handling {
  switch (outcome.kind) {
    case "completed":
    case "client_gone":
      return undefined;
    case "not_sent":
      return refuse(exchange, `the application did not take the request: ${outcome.reason}`);
    case "not_executed":
      return refuse(exchange, outcome.reason);
    case "lost":
    case "upstream_invalid":
      // The response of a host that was cut off must not even say that something failed: the next primary decides.
      if (end.reason === undefined && !exchange.responseStarted) return unknown(exchange, outcome.reason);
      exchange.destroy();
      return undefined;
  }
}

const frontLimits = (limits: HttpLimits): Partial<ServerLimits> => ({
  connectionsMax: limits.connectionsMax,
  connectionsPerAddressMax: limits.connectionsMax,
  headBytesMax: limits.headBytesMax,
  headerCountMax: limits.headersMax,
  bodyBytesMax: limits.bodyBytesMax,
  headArrivalMs: limits.headMs,
  idleMs: limits.idleMs,
  connectMs: limits.connectMs,
  firstByteMs: limits.firstByteMs,
});

/** False when the time is over, or when the term ends: its application may never be ready again. */
function readyWithin(term: Term, clock: Clock, end: CommonEnd): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (isReady: boolean): void => {
      timer.cancel();
      end.delete(ended);
      resolve(isReady);
    };
    const ended = { onCommonEnd: () => answer(false) };
    const timer = clock.setTimer(restartWaitMs, () => answer(false));
    end.add(ended);
    term.whenReady().then(
      () => answer(end.reason === undefined),
      () => answer(false),
    );
  });
}

function refuse(exchange: Exchange, reason: string): Promise<void> {
  return exchange.respond({
    status: 503,
    headers: [
      ["Content-Type", "text/plain; charset=utf-8"],
      ["Stead-Outcome", "not-executed"],
      ["Retry-After", "1"],
    ],
    body: `${reason}\n`,
  });
}

function unknown(exchange: Exchange, reason: string): Promise<void> {
  return exchange.respond({
    status: 502,
    headers: [
      ["Content-Type", "text/plain; charset=utf-8"],
      ["Stead-Outcome", "unknown"],
    ],
    body: `the application did not answer: ${reason}\n`,
  });
}

const isOurs = (name: string): boolean => name.startsWith("stead-");

const ours = fieldSet(STEAD);
const withoutOurs = (headers: HeaderList): HeaderList => (headers.mayHave(ours) ? headers.without(isOurs) : headers);

/** Fields of ours are for the host, or forged: none of them leaves. `Stead-Checkpoint: now` is a system event. */
function takeSteadFields(headers: HeaderList, term: Term): HeaderList {
  if (headers.mayHave(ours) && headers.get("stead-checkpoint") === "now") term.onCheckpointAsked();
  return withoutOurs(headers);
}
