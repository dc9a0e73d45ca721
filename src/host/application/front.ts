/**
 * The front of a host: the data listener before the application.
 *
 * It listens from the start of the host process to its end, whatever the host's role. A host that is not primary
 * answers every request with 503 `Stead-Outcome: not-executed`, so that a gateway may safely resend it elsewhere. A
 * primary forwards to the application, and the journal's gate decides when each chunk of the answer may leave.
 */
import type { Address } from "../../config/types.ts";
import { type Metrics, noMetrics } from "../../metrics/metrics.ts";
import type { ClusterTls } from "../../control/tls/cluster-tls.ts";
import type { Clock } from "../../runtime/clock.ts";
import { isOfEpoch } from "../../core/replay.ts";
import { type Beginning, type NamedRequest, RequestNames } from "../../core/request-names.ts";
import type { OutcomeLimits } from "../../core/request-outcome.ts";
import type { Rules } from "../../core/rules.ts";
import { type Fingerprint, fingerprintOf, type RequestStanding, Suspects } from "../../core/suspects.ts";
import { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { Exchange, ForwardOptions, ForwardOutcome, ForwardUser, Handling } from "../../http/upstream/exchange.ts";
import type { HostLimits } from "../../http/limits.ts";
import type { RequestHead } from "../../http/message/head.ts";
import { fittingConnections } from "../../http/server/descriptor-room.ts";
import {
  asksForCheckpoint,
  namedRequestOf,
  routedEpochOf,
  withoutSteadFields,
} from "../../http/message/stead-fields.ts";
import { HttpServer } from "../../http/server/server.ts";
import { Upstream } from "../../http/upstream/upstream.ts";
import { WholeAnswers } from "../../http/upstream/whole-answers.ts";
import { drainRequests, type DrainTimes } from "./drain.ts";
import { recorderOf } from "./answer-recorder.ts";
import { answerBefore, putAside, refuse, sayUnknown } from "./front-answers.ts";
import { frontCertificates } from "./front-certificates.ts";
import { Handover } from "./handover.ts";
import { KeyedRequests } from "./keyed-requests.ts";
import { LostRequests } from "./lost-requests.ts";
import { OpenRequests } from "./open-requests.ts";
import { Probation } from "./probation.ts";
import { readyWithin } from "./ready-within.ts";
import type { ServingTerm } from "./serving-term.ts";

interface Open {
  readonly kind: "open";
  readonly term: ServingTerm;
  readonly upstream: Upstream;
  readonly end: CancellationGroup;
  readonly forward: ForwardOptions;
  readonly user: ForwardUser;
}

type FrontState =
  | { readonly kind: "closed"; readonly reason: string }
  | Open
  | { readonly kind: "draining"; readonly upstream: Upstream; readonly end: CancellationGroup };

/** One of this many completed requests is remembered (core/suspects.ts). */
const completionsPerSample = 8;
/** Longest answer that is held back for its rest: only of one that is lost whole can the host say why it was lost. */
const wholeAnswerBytesMax = 64 * 2 ** 10;
/** How often a request that is not suspect waits for an application that keeps ending; then it is tried. */
const besideTries = 3;

export interface FrontOptions {
  readonly listen: Address;
  readonly limits: HostLimits;
  readonly clock: Clock;
  /** Default: all. */
  readonly rules?: Rules;
  readonly metrics?: Metrics;
  /** Only gateways with a certificate of the cluster are served. Undefined: in clear text, every client. */
  readonly tls?: ClusterTls | undefined;
  /** Of answers that are kept for repetitions. Default: `outcomeLimitsDefault`. */
  readonly outcomes?: OutcomeLimits;
  /** Requests have become suspect. */
  readonly onSuspects?: (fresh: readonly Fingerprint[]) => void;
}

/** The part of the front that a host and its terms use; the simulation has its own. */
export type FrontPort = Pick<Front, "serve" | "abort" | "drain" | "port" | "suspects" | "handover">;

export class Front {
  readonly #options: FrontOptions;
  #server: HttpServer | undefined;
  #endTls: (() => void) | undefined;
  #state: FrontState = { kind: "closed", reason: "starting" };
  #active = 0;
  readonly #open = new OpenRequests();
  #idle: (() => void) | undefined;
  readonly #lost: LostRequests;
  readonly #keyed = new KeyedRequests();
  readonly #probation: Probation;
  readonly #wholeAnswers: WholeAnswers;
  #completions = 0;
  /** Requests that end the application, across terms: a host that becomes primary again still knows them. */
  readonly suspects: Suspects;
  /** Names and outcomes of requests in the log and in this host's terms (core/request-names.ts). */
  readonly handover: Handover;

  private constructor(options: FrontOptions) {
    this.#options = options;
    this.#lost = new LostRequests(options.clock);
    this.#probation = new Probation(options.clock);
    this.#wholeAnswers = new WholeAnswers({ bytesMax: wholeAnswerBytesMax, clock: options.clock });
    this.suspects = new Suspects(options.rules);
    this.handover = new Handover(new RequestNames(options.rules, options.outcomes), options.clock);
  }

  /** Starts listening; throws the server's error if the port is in use. */
  static async listen(options: FrontOptions): Promise<Front> {
    const front = new Front(options);
    const { metrics = noMetrics, tls } = options;
    const connectionsMax = fittingConnections(options.limits.connectionsMax);
    const server = await HttpServer.listen({
      ...(tls === undefined ? {} : { tls: frontCertificates(tls.cluster, tls.files) }),
      host: options.listen.host,
      port: options.listen.port,
      clock: options.clock,
      // A gateway is one address with all clients behind it.
      limits: { ...options.limits, connectionsMax, connectionsPerAddressMax: connectionsMax },
      counts: {
        accepted: metrics.counter("stead_front_connections_accepted_total", {}),
        refused: metrics.counter("stead_front_connections_refused_total", {}),
        displaced: metrics.counter("stead_front_connections_displaced_total", {}),
      },
      onExchange: (exchange) => front.#onExchange(exchange),
      onOverflow: (exchange) =>
        refuse(exchange, "this host has as many connections as it may (host.limits.connections)"),
    });
    front.#server = server;
    front.#endTls = tls?.use((files) => server.replaceCertificates(frontCertificates(tls.cluster, files)));
    return front;
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  get connections(): number {
    return this.#server?.connections ?? 0;
  }

  /** Requests in flight in the application. */
  get active(): number {
    return this.#active;
  }

  /** Requests in flight in the application, and the traffic between it and its clients. */
  get requests(): OpenRequests {
    return this.#open;
  }

  /** Opens the gate for a term. */
  serve(term: ServingTerm): void {
    const upstream = this.#upstreamTo(term);
    const end = new CancellationGroup();
    const forward: ForwardOptions = {
      gate: () => {
        this.#open.onAnswer();
        return term.gate();
      },
      cancellation: end,
      // `Stead-Outcome: not-executed` from an application is ignored: only hosts may say so.
      upstreamIsHost: false,
      isUpstreamEnding: (request) => this.#lost.isOfEnding(request) || term.endings.isUnderWay,
      wholeAnswers: this.#wholeAnswers,
      recordAnswer: (request, head) => recorderOf(this.handover, request, head),
      outlivesClient: (request) => this.#keyed.outlivesClient(request),
      editRequestFields: withoutSteadFields,
      editResponseFields: ({ headers }) => {
        if (asksForCheckpoint(headers)) term.onCheckpointAsked();
        return withoutSteadFields(headers);
      },
    };
    const user: ForwardUser = {
      onOutcome: (exchange, _upstream, outcome) => this.#onOutcome(exchange, state, outcome),
    };
    const state: Open = { kind: "open", term, upstream, end, forward, user };
    this.#state = state;
    term.endings.listen(() => this.#onEnding(end));
  }

  #upstreamTo({ applicationHost: host, applicationPort: port }: ServingTerm): Upstream {
    const { limits, clock, metrics } = this.#options;
    return new Upstream({
      host,
      port,
      limits,
      clock,
      firstByte: metrics?.histogram("stead_application_first_byte_seconds", {}),
    });
  }

  /** Returns the application's present address: after a restart it may have another port. */
  #currentUpstream(state: FrontState & { kind: "open" }): Upstream {
    const { term, upstream } = state;
    if (upstream.port === term.applicationPort && upstream.host === term.applicationHost) return upstream;
    const next = this.#upstreamTo(term);
    if (this.#state === state) this.#state = { ...state, upstream: next };
    upstream.abort("the application was restarted on another port");
    return next;
  }

  /** Stops at once: every exchange in flight is cut, new ones are refused. Synchronous. */
  abort(reason: string): void {
    const state = this.#state;
    this.#state = { kind: "closed", reason };
    if (state.kind === "closed") return;
    state.end.abort(reason);
    state.upstream.abort(reason);
  }

  /**
   * Refuses new requests and waits until those in flight that have an end are answered; then cuts the rest (drain.ts).
   * Afterwards nothing of ours delays the application's stop: its idle connections are closed.
   */
  async drain(times: DrainTimes): Promise<{ readonly cut: number }> {
    if (this.#state.kind !== "open") return { cut: 0 };
    const { upstream, end } = this.#state;
    this.#state = { kind: "draining", upstream, end };
    const idle = new AbortController();
    this.#idle = () => idle.abort();
    upstream.drain("this host is stepping down");
    await drainRequests(end, () => this.#active, times, this.#options.clock, idle.signal);
    this.#idle = undefined;
    return { cut: this.#active };
  }

  async close(): Promise<void> {
    this.abort("the host process ends");
    this.#endTls?.();
    await this.#server?.close({ drainMs: 0 });
  }

  #onExchange(exchange: Exchange): Handling {
    const state = this.#state;
    if (state.kind !== "open")
      return refuse(
        exchange,
        state.kind === "draining" ? "this host is stepping down" : `this host is not primary: ${state.reason}`,
      );
    const { term, forward, user } = state;
    const { headers } = exchange.request;
    const named = namedRequestOf(headers);
    const routedFor = routedEpochOf(headers, named);
    if (!isOfEpoch(routedFor, term.epoch)) {
      return refuse(
        exchange,
        `the request was routed for epoch ${(routedFor ?? "").replace(/[^0-9]/g, "").slice(0, 16)}; this host serves epoch ${term.epoch}`,
      );
    }
    this.#active += 1;
    this.#open.begin(exchange, this.#options.clock.now());
    const over = (): void => this.#onOver(exchange);
    if (named?.isKeyed === true) return this.#forwardKeyed(exchange, state, named).finally(over);
    if (!term.isReady || this.suspects.isWatching) return this.#forwardCarefully(exchange, state).finally(over);
    if (named !== undefined && !this.handover.isOpen) return this.#forwardNow(exchange, state).finally(over);
    const beginning = this.handover.begin(exchange.request, named, term.position);
    if (beginning.kind !== "execute") return this.#answerBefore(exchange, state, beginning).finally(over);
    exchange.forwardTo(this.#currentUpstream(state), forward, user);
    return undefined;
  }

  async #forwardKeyed(exchange: Exchange, state: Open, named: NamedRequest): Promise<void> {
    const refusal = await this.#keyed.prepare(exchange, named);
    if (exchange.isClientGone) return;
    if (refusal !== undefined) return exchange.respond(refusal);
    if (this.#state.kind !== "open" || this.#state.term !== state.term) return refuse(exchange, whyNotReady(state));
    const isCareful = !state.term.isReady || this.suspects.isWatching;
    await (isCareful ? this.#forwardCarefully(exchange, state) : this.#forwardNow(exchange, state));
  }

  /** Waits until a named request may be handed over; false: it was refused. */
  async #isTurnOf(exchange: Exchange, { end }: Open): Promise<boolean> {
    if (this.handover.isOpen) return true;
    await this.handover.whenOpen();
    if (this.#state.kind === "open" && end.reason === undefined && !exchange.isClientGone) return true;
    this.handover.decline();
    if (!exchange.isClientGone) await refuse(exchange, "this host is stepping down");
    return false;
  }

  /** An earlier try was executed, or may have been. */
  async #answerBefore(exchange: Exchange, state: Open, beginning: Beginning): Promise<void> {
    try {
      // The answer may show what is not durable yet, as every answer may.
      await state.term.gate();
    } catch {
      return exchange.abort();
    }
    const { metrics = noMetrics } = this.#options;
    const isRecorded = beginning.kind === "recorded" && beginning.outcome.kind === "whole";
    metrics.counter(isRecorded ? "stead_front_recorded_total" : "stead_front_in_doubt_total", {}).add(1);
    await answerBefore(exchange, state.end, beginning);
  }

  /** While the application restarts, and as long as there are requests that it has not survived. */
  async #forwardCarefully(exchange: Exchange, state: Open): Promise<void> {
    const { method, target } = exchange.request;
    const fingerprint = fingerprintOf(method, target);
    const first = this.#standing(fingerprint, state);
    if (first.kind === "put-aside") return putAside(exchange, first.endings, first.forMs);
    if (first.kind === "free") return this.#forwardBeside(exchange, state);
    if (!(await readyWithin(state.term, this.#options.clock, state.end))) return refuse(exchange, whyNotReady(state));
    if (this.#standing(fingerprint, state).kind === "free") return this.#forwardBeside(exchange, state);
    await this.#forwardOnProbation(exchange, state, fingerprint);
  }

  /** Other waiting requests may have found the new port already. */
  #upstreamAfterWait(state: FrontState & { kind: "open" }): Upstream {
    const now = this.#state;
    return now.kind === "open" && now.term === state.term ? this.#currentUpstream(now) : state.upstream;
  }

  /** Forwards a request that is not known to end the application, while another one may. */
  async #forwardBeside(exchange: Exchange, state: Open): Promise<void> {
    for (let tries = 1; await readyWithin(state.term, this.#options.clock, state.end); tries++) {
      const leave = await this.#probation.beside();
      try {
        // A request that had its turn meanwhile may have ended the application.
        if (state.term.isReady || tries === besideTries) return await this.#forwardNow(exchange, state);
      } finally {
        leave();
      }
    }
    await refuse(exchange, whyNotReady(state));
  }

  /** Forwards a request that may be the one that ends the application. */
  async #forwardOnProbation(exchange: Exchange, state: Open, fingerprint: Fingerprint): Promise<void> {
    const endTurn = await this.#probation.turn();
    if (endTurn === undefined)
      return refuse(
        exchange,
        "the application has just ended: requests that were in flight are let through one at a time",
      );
    try {
      // An earlier turn may have ended the application again, or have cleared this request.
      if (!(await readyWithin(state.term, this.#options.clock, state.end)))
        return await refuse(exchange, "the application is restarting");
      const standing = this.#standing(fingerprint, state);
      if (standing.kind === "free") endTurn();
      if (standing.kind === "put-aside") return await putAside(exchange, standing.endings, standing.forMs);
      if (standing.kind === "due") this.suspects.beginTrial(fingerprint);
      await this.#forwardNow(exchange, state);
      this.suspects.abortTrial(fingerprint, this.#options.clock.now());
    } finally {
      endTurn();
    }
  }

  async #forwardNow(exchange: Exchange, state: Open): Promise<void> {
    const { request } = exchange;
    const named = this.#keyed.nameOf(request);
    if (named !== undefined && !(await this.#isTurnOf(exchange, state))) return;
    const beginning = this.handover.begin(request, named, state.term.position);
    if (beginning.kind !== "execute") return this.#answerBefore(exchange, state, beginning);
    await this.#answer(exchange, state, await exchange.forward(this.#upstreamAfterWait(state), state.forward));
  }

  #standing(fingerprint: Fingerprint, { term }: Open): RequestStanding {
    return this.suspects.standing(fingerprint, this.#options.clock.now(), term.maySpareEnding);
  }

  /** The exchange is no longer in flight to the application. */
  #onOver(exchange: Exchange): void {
    this.#open.remove(exchange);
    this.handover.over(exchange.request);
    this.#active -= 1;
    if (this.#active === 0) this.#idle?.();
  }

  #onOutcome(exchange: Exchange, state: Open, outcome: ForwardOutcome): Handling {
    const answering = this.#answer(exchange, state, outcome);
    if (answering === undefined) {
      this.#onOver(exchange);
      return undefined;
    }
    return answering.finally(() => this.#onOver(exchange));
  }

  /** Answers the client what remains to be answered. */
  #answer(exchange: Exchange, { term, end }: Open, outcome: ForwardOutcome): Handling {
    switch (outcome.kind) {
      case "completed":
        this.#onCompleted(exchange.request);
        return undefined;
      case "client-gone":
        return undefined;
      case "not-sent":
        this.handover.withdraw(exchange.request);
        return refuse(exchange, `the application did not take the request: ${outcome.reason}`);
      case "not-executed":
      case "put-aside":
        throw new Error("only a host says that a request was not executed");
      case "upstream-invalid":
        return sayUnknown(exchange, end, "invalid-answer", outcome.reason);
      case "lost":
        return this.#lost.answer(exchange, term, end, outcome);
    }
  }

  #onEnding(end: CancellationGroup): void {
    const executing = this.#lost.atEnding(end).map(({ method, target }) => fingerprintOf(method, target));
    if (this.#state.kind !== "closed" && this.#state.end === end)
      this.#state.upstream.abortUnused("the application has ended");
    const fresh = this.suspects.ended(executing, this.#options.clock.now());
    if (fresh.length > 0) this.#options.onSuspects?.(fresh);
  }

  /** While nothing is watched only a sample is remembered. */
  #onCompleted({ method, target }: RequestHead): void {
    this.#completions = (this.#completions + 1) % completionsPerSample;
    if (this.#completions === 0 || this.suspects.isWatching)
      this.suspects.completed(fingerprintOf(method, target), this.#options.clock.now());
  }
}

const whyNotReady = ({ end }: Open): string =>
  end.reason === undefined ? "the application is restarting" : "this host is no longer primary";
