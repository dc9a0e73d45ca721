/**
 * The gateway's request loop for one service: hold, forward, decide about a replay, answer.
 *
 * A request that returns from an attempt and may be resent waits like a new one until the service is served;
 * `patienceMs` bounds its whole life. Each request is counted exactly once, in `onDone`.
 */
import { decideReplay, type ReplayDecision } from "../../core/replay.ts";
import { allRules, type Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import type {
  Exchange,
  ForwardOptions,
  ForwardOutcome,
  ForwardUser,
  Handling,
  LocalReply,
} from "../upstream/exchange.ts";
import type { HoldResult } from "./hold.ts";
import { type MaintenancePage, maintenanceReply, retryAfterSeconds } from "./maintenance-reply.ts";
import type { ProxyHooks } from "./proxy-hooks.ts";
import { isReplaced, isSameTerm } from "./replacement.ts";
import type { RequestNamer } from "./request-namer.ts";
import { outcomeOf, type RequestProgress } from "./request-progress.ts";
import { type RequestEnd, RequestTrace } from "./request-trace.ts";
import type { Route } from "./route.ts";
import { errorReply } from "../server/local-reply.ts";
import type { Upstream } from "../upstream/upstream.ts";

export interface ProxyOptions {
  readonly route: Route;
  readonly clock: Clock;
  readonly hooks?: ProxyHooks;
  /**
   * How long a request is tried, from its arrival, before it is answered as failed; at least the longest wait of the
   * hold.
   */
  readonly patienceMs: number;
  /**
   * Pause before a request goes again to the upstream that has just failed it; it grows by half each time, up to
   * `againDelayMsMax`.
   */
  readonly againDelayMs?: number;
  /** How many times in all a request that was sent and lost may be resent (core/replay.ts). Default 1. */
  readonly againMax?: number;
  /** Seconds for `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** The configured page: for refusals because there is no primary, too. Undefined: in maintenance the built-in one. */
  readonly page?: () => MaintenancePage | undefined;
  readonly forward?: Omit<ForwardOptions, "end" | "nameRequest">;
  /** Default: requests have no names, and one that is not idempotent is never resent after it was lost. */
  readonly namer?: RequestNamer | undefined;
  /** Default: all. */
  readonly rules?: Rules;
}

const againDelayMsMax = 250;
/** Pause, in units of `againDelayMs`, before a request is resent to a host that lost one. */
const lostHostDelays = 13;

export class Proxy implements ForwardUser {
  readonly #options: ProxyOptions;
  readonly #forward: ForwardOptions;

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { forward = {}, namer } = options;
    this.#forward = namer === undefined ? forward : { ...forward, nameRequest: namer.nameRequest };
  }

  /** Answers one request. Pass it to `HttpServer` as `onExchange`. */
  handle(exchange: Exchange): Handling {
    const { route } = this.#options;
    const upstream = route.current();
    // The usual case costs one forward and no waiting.
    if (upstream !== undefined && route.whenServing().isPassable) {
      exchange.forwardTo(upstream, this.#forward, this);
      return undefined;
    }
    return this.#handleHeld(exchange, this.#newLife(exchange));
  }

  /** Handles the outcome of the first try. */
  onOutcome(exchange: Exchange, upstream: Upstream, outcome: ForwardOutcome): Handling {
    if (outcome.kind !== "completed") return this.#handleOutcome(exchange, this.#newLife(exchange), upstream, outcome);
    this.#options.hooks?.onDone?.("ok", false, 0);
    return undefined;
  }

  #newLife(exchange: Exchange): RequestProgress {
    const { hooks, clock } = this.#options;
    return {
      trace: hooks?.onTraced === undefined ? undefined : RequestTrace.of(exchange, clock),
      held: false,
      replays: 0,
      losses: [],
      maybeExecuted: false,
      until: this.#options.clock.now() + this.#options.patienceMs,
    };
  }

  async #handleHeld(exchange: Exchange, life: RequestProgress): Promise<void> {
    const { route } = this.#options;
    const hold = route.whenServing();
    if (!hold.isPassable && !hold.isInMaintenance) {
      life.held = true;
      life.trace?.begin("hold");
    }
    const result = await hold.wait(exchange.bodyBytesHeldMax + headBytesHeld, exchange.clientGone);
    life.trace?.complete("hold", result === "released" ? result : result.refused);
    if (result !== "released") {
      await this.#refuseHeld(exchange, life, result);
      return;
    }
    // The place in the hold's concurrency is freed with the head of the response: a stream may last for hours.
    let onItsWay = true;
    const arrived = (): void => {
      if (onItsWay) hold.done();
      onItsWay = false;
    };
    const upstream = route.current();
    const whyNot = upstream && this.#options.namer?.whyNotAgain(exchange.request, upstream);
    let outcome: ForwardOutcome = { kind: "not-sent", reason: "there is no primary" };
    try {
      // The primary may have changed back meanwhile: a request lost in an epoch is never resent in that epoch.
      if (upstream !== undefined && life.lostUpstream !== undefined && isSameTerm(upstream, life.lostUpstream)) {
        outcome = {
          kind: "lost",
          released: false,
          bodyHeld: false,
          reused: false,
          cause: "host-lost",
          reason: "the primary that lost it is still primary",
        };
      } else if (upstream !== undefined && whyNot !== undefined) {
        outcome = { kind: "lost", released: false, bodyHeld: true, reused: false, cause: "in-doubt", reason: whyNot };
      } else if (upstream !== undefined) {
        outcome = await exchange.forward(upstream, withHeadHook(this.#forward, arrived));
      }
    } finally {
      arrived();
    }
    await this.#handleOutcome(exchange, life, upstream, outcome);
  }

  async #handleOutcome(
    exchange: Exchange,
    life: RequestProgress,
    upstream: Upstream | undefined,
    outcome: ForwardOutcome,
  ): Promise<void> {
    const { hooks, clock, route, namer } = this.#options;
    const { request } = exchange;
    const startMs = clock.wallTime();
    life.trace?.complete("replay", outcome.kind);
    if (upstream !== undefined && (outcome.kind === "not-sent" || outcome.kind === "lost"))
      hooks?.onConnectionError?.(upstream, outcome.reason);
    const { rules = allRules } = this.#options;
    const isNamed = upstream?.epoch !== undefined && namer?.isNamed(request) === true;
    const history = { losses: life.losses, againMax: this.#options.againMax ?? 1, isNamed };
    const decision = decideReplay(request.method, outcome, history, rules);
    if (outcome.kind === "lost") life.losses.push(outcome.cause);
    if (decision.kind !== "again") {
      await this.#answer(exchange, life, outcome, decision);
      return;
    }
    if (decision.why !== "not-sent" && decision.why !== "not-executed")
      life.maybeExecuted = rules.has("replay-outcome");
    if (decision.why === "changes-state" || decision.why === "named") {
      life.lostUpstream = upstream;
      // Another epoch is what it waits for, here or in the hold.
      life.held = true;
    }
    if (decision.why === "named") namer?.onLost(request);
    if (life.lostUpstream !== undefined && !(await isReplaced(route, clock, life.lostUpstream, exchange, life.until))) {
      await this.#answer(exchange, life, outcome, { kind: "unknown", reason: decision.reason });
      return;
    }
    if (clock.now() >= life.until) {
      await this.#notExecutedOrUnknown(exchange, life, decision);
      return;
    }
    life.replays++;
    life.trace?.begin("replay", { why: decision.why, startMs });
    if (upstream !== undefined && route.current() === upstream) await this.#pause(upstream, life, outcome);
    await this.#handleHeld(exchange, life);
  }

  /**
   * Pauses before the same upstream is asked again: it has just failed, and detection needs a moment. A host that lost
   * a request gets longer: a process that is being killed still accepts connections while the kernel closes its files,
   * and requests on them would be lost a second time. The wait ends as soon as the service is held or served elsewhere.
   */
  async #pause(upstream: Upstream, life: RequestProgress, outcome: ForwardOutcome): Promise<void> {
    const { clock, route } = this.#options;
    const delayMs = this.#options.againDelayMs ?? 20;
    if (outcome.kind !== "lost" || outcome.cause !== "host-lost")
      return clock.sleep(Math.min(againDelayMsMax, delayMs * 1.5 ** (life.replays - 1)));
    const until = clock.now() + delayMs * lostHostDelays;
    while (clock.now() < until && route.current() === upstream && route.whenServing().isPassable)
      await clock.sleep(delayMs);
  }

  async #answer(
    exchange: Exchange,
    life: RequestProgress,
    outcome: ForwardOutcome,
    decision: Exclude<ReplayDecision, { kind: "again" }>,
  ): Promise<void> {
    switch (decision.kind) {
      case "answered":
        if (outcome.kind === "completed" && outcome.isRecorded === true) this.#options.hooks?.onRecorded?.();
        this.#done(outcome.kind === "client-gone" ? "client-gone" : "ok", life);
        return;
      case "give-up":
        this.#done("failed", life);
        await this.#respond(exchange, {
          status: 503,
          code: "not_executed",
          message: decision.reason,
          outcome: outcomeOf(life),
        });
        return;
      case "put-aside":
        this.#done("failed", life);
        await this.#respond(exchange, {
          status: 503,
          code: "suspect_request",
          message: decision.reason,
          outcome: outcomeOf(life),
          retryAfterSeconds: decision.retryAfterSeconds,
        });
        return;
      case "invalid":
        return this.#answerUnknown(
          exchange,
          life,
          502,
          "invalid_answer",
          `the application's answer is invalid and was not passed on: ${decision.reason}`,
        );
      case "timed-out":
        return this.#answerUnknown(
          exchange,
          life,
          504,
          "no_answer_in_time",
          `the application did not answer in time: ${decision.reason}`,
        );
      case "unknown":
        return this.#answerUnknown(exchange, life, 502, "outcome_unknown", decision.reason);
    }
  }

  async #answerUnknown(
    exchange: Exchange,
    life: RequestProgress,
    status: 502 | 504,
    code: string,
    what: string,
  ): Promise<void> {
    this.#done("unknown", life);
    await this.#respond(exchange, {
      status,
      code,
      message: `${what}; the request may or may not have been executed`,
      outcome: "unknown",
    });
  }

  /** Patience is over. An idempotent request that was sent may have been executed; one that was not sent has not. */
  async #notExecutedOrUnknown(
    exchange: Exchange,
    life: RequestProgress,
    decision: ReplayDecision & { kind: "again" },
  ): Promise<void> {
    this.#done("failed", life);
    await this.#respond(exchange, {
      status: 503,
      code: "no_primary",
      message: `no primary answered in time (${decision.reason})`,
      outcome: outcomeOf(life),
    });
  }

  async #refuseHeld(exchange: Exchange, life: RequestProgress, result: Exclude<HoldResult, "released">): Promise<void> {
    if (result.refused === "gone") {
      this.#done("client-gone", life);
      return;
    }
    if (result.refused === "maintenance") {
      this.#done("maintenance", life);
      return this.#respondInMaintenance(exchange, outcomeOf(life));
    }
    this.#done("failed", life);
    const why =
      result.refused === "full"
        ? "there is no primary, and the maximum number of requests is already waiting for one"
        : "no primary appeared within the time that a request may wait";
    await this.#respond(exchange, {
      status: 503,
      code: `hold_${result.refused}`,
      message: why,
      outcome: outcomeOf(life),
    });
  }

  /** On purpose: nothing for the log. */
  async #respondInMaintenance(exchange: Exchange, outcome: Refused["outcome"]): Promise<void> {
    const { page, clock, route } = this.#options;
    const shown = page?.() ?? { retryAfterMs: retryAfterMsDefault };
    const untilMs = route.maintenance?.()?.untilMs;
    const seconds = retryAfterSeconds(shown, untilMs === undefined ? undefined : untilMs - clock.wallTime());
    const message = "the service is in maintenance";
    const accept = exchange.request.headers.get("accept");
    if (exchange.hasResponseStarted) return; // cut already, visibly
    await answer(exchange, maintenanceReply(shown, { code: "maintenance", message, accept }), outcome, seconds);
  }

  async #respond(
    exchange: Exchange,
    { status, code, message, outcome, retryAfterSeconds: retryAfter }: Refused,
  ): Promise<void> {
    this.#options.hooks?.onRefused?.(exchange, status, code, message);
    if (exchange.hasResponseStarted) return; // cut already, visibly
    const accept = exchange.request.headers.get("accept");
    const page = outcome === "not-executed" && pagedCodes.has(code) ? this.#options.page?.() : undefined;
    if (page !== undefined)
      return answer(
        exchange,
        maintenanceReply(page, { code, message, accept }),
        outcome,
        retryAfterSeconds(page, undefined),
      );
    const seconds =
      outcome === "not-executed" || retryAfter !== undefined
        ? (retryAfter ?? this.#options.retryAfterSeconds ?? 1)
        : undefined;
    return answer(exchange, errorReply(status, code, message, accept), outcome, seconds);
  }

  #done(end: RequestEnd, life: RequestProgress): void {
    const { hooks } = this.#options;
    hooks?.onDone?.(end, life.held, life.replays);
    const traced = life.trace?.told(end, life.replays);
    if (traced !== undefined) hooks?.onTraced?.(traced);
  }
}

/** Of a page that no configuration names. */
const retryAfterMsDefault = 30_000;
/** Refusals because there is no primary, after the wait for one. */
const pagedCodes: ReadonlySet<string> = new Set(["hold_full", "hold_timeout", "no_primary"]);

function answer(
  exchange: Exchange,
  reply: LocalReply,
  outcome: Refused["outcome"],
  retryAfter: number | undefined,
): Promise<void> {
  const retry: [string, string][] = retryAfter === undefined ? [] : [["Retry-After", String(retryAfter)]];
  return exchange.respond({ ...reply, headers: [...(reply.headers ?? []), ["Stead-Outcome", outcome], ...retry] });
}

interface Refused {
  readonly status: 502 | 503 | 504;
  readonly code: string;
  readonly message: string;
  readonly outcome: "unknown" | "not-executed";
  readonly retryAfterSeconds?: number;
}

function withHeadHook(options: ForwardOptions, onHead: () => void): ForwardOptions {
  return {
    ...options,
    editResponseFields: (head) => {
      if (head.status >= 200) onHead();
      return options.editResponseFields?.(head) ?? head.headers;
    },
  };
}

/** Approximate memory of a waiting request beside its body. */
const headBytesHeld = 2_048;
