/**
 * The front of a host: the data listener that stands before the application.
 *
 * It listens from the start of the host process to its end, whatever the host's role. A host that is not primary answers
 * every request with 503 `Stead-Outcome: not-executed`, so that a gateway may send it again elsewhere without doubt.
 * A primary forwards to the application, and the journal's gate decides when each chunk of the answer may leave.
 */
import type { Address, HttpLimits } from "../config/types.ts";
import type { Clock } from "../runtime/clock.ts";
import { epochField } from "../core/replay.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/headers.ts";
import { fieldSet, STEAD } from "../http/known-fields.ts";
import type { HttpLimits as ServerLimits } from "../http/limits.ts";
import { HttpServer } from "../http/server.ts";
import { Upstream } from "../http/upstream.ts";

/** One term as primary, as the front sees it. */
export interface Term {
  readonly epoch: number;
  gate(): void | Promise<void>;
  readonly applicationPort: number;
  /** Resolves when the application takes requests; it may be restarting. */
  whenReady(): Promise<void>;
  readonly isReady: boolean;
  /** The application asked for a checkpoint with `Stead-Checkpoint: now`. */
  onCheckpointAsked(): void;
}

type FrontState =
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "open"; readonly term: Term; readonly upstream: Upstream; readonly end: AbortController }
  | { readonly kind: "draining"; readonly upstream: Upstream; readonly end: AbortController };

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

  /** Opens the gate for a term. */
  serve(term: Term): void {
    const upstream = new Upstream({
      host: "127.0.0.1",
      port: term.applicationPort,
      limits: frontLimits(this.#options.limits),
      clock: this.#options.clock,
    });
    this.#state = { kind: "open", term, upstream, end: new AbortController() };
  }

  /** Not a byte more: every exchange in flight is cut, new ones are refused. Synchronous. */
  shut(reason: string): void {
    const state = this.#state;
    this.#state = { kind: "closed", reason };
    if (state.kind === "closed") return;
    state.end.abort(new Error(reason));
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

  async #onExchange(exchange: Exchange): Promise<void> {
    const state = this.#state;
    if (state.kind !== "open") {
      await refuse(exchange, state.kind === "draining" ? "this host is stepping down" : `this host is not primary: ${state.reason}`);
      return;
    }
    this.#active += 1;
    try {
      await this.#forward(exchange, state);
    } finally {
      this.#active -= 1;
      if (this.#active === 0) this.#idle?.();
    }
  }

  async #forward(exchange: Exchange, open: FrontState & { kind: "open" }): Promise<void> {
    const { term, upstream, end } = open;
    const { headers } = exchange.request;
    const routedFor = headers.mayHave(ours) ? headers.get(epochField) : undefined;
    if (routedFor !== undefined && routedFor !== String(term.epoch)) {
      await refuse(exchange, `the request was routed for epoch ${routedFor.replace(/[^0-9]/g, "").slice(0, 16)}; this host serves epoch ${term.epoch}`);
      return;
    }
    if (!term.isReady && !(await readyWithin(term, this.#options.clock, end.signal))) {
      await refuse(exchange, end.signal.aborted ? "this host is not primary any more" : "the application is restarting");
      return;
    }
    const outcome = await exchange.forward(upstream, {
      gate: () => term.gate(),
      signal: end.signal,
      // An application that says `Stead-Outcome: not-executed` is not believed: only hosts may say so.
      upstreamIsHost: false,
      editRequestFields: withoutOurs,
      editResponseFields: ({ headers }) => takeSteadFields(headers, term),
    });
    switch (outcome.kind) {
      case "completed":
      case "client_gone":
        return;
      case "not_sent":
        await refuse(exchange, `the application did not take the request: ${outcome.reason}`);
        return;
      case "not_executed":
        await refuse(exchange, outcome.reason);
        return;
      case "lost":
      case "upstream_invalid":
        // The response of a host that was cut off must not even say that something failed: the next primary decides.
        if (end.signal.aborted || exchange.responseStarted) exchange.destroy();
        else await unknown(exchange, outcome.reason);
    }
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
function readyWithin(term: Term, clock: Clock, over: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (isReady: boolean): void => {
      timer.cancel();
      over.removeEventListener("abort", onOver);
      resolve(isReady);
    };
    const onOver = (): void => answer(false);
    const timer = clock.setTimer(restartWaitMs, () => answer(false));
    over.addEventListener("abort", onOver, { once: true });
    if (over.aborted) return answer(false);
    term.whenReady().then(
      () => answer(!over.aborted),
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
