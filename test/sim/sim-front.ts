/**
 * The front of a host (`FrontPort`): decides like src/host/application/front.ts. Gateways send it messages; what it
 * forwards goes as bytes through the real server, attempt and gated release (front-http.ts). Each part of an answer
 * passes the journal's gate, and what is released is told to the checker at that very moment.
 */
import type { FrontPort } from "../../src/host/application/front.ts";
import type { ServingTerm } from "../../src/host/application/serving-term.ts";
import {
  type Fingerprint,
  fingerprintOf,
  type KnownSuspect,
  type RequestStanding,
  Suspects,
} from "../../src/core/suspects.ts";
import { Handover } from "../../src/host/application/handover.ts";
import type { DrainTimes } from "../../src/host/application/drain.ts";
import { isOfEpoch } from "../../src/core/replay.ts";
import { type Beginning, RequestNames } from "../../src/core/request-names.ts";
import { outcomeLimitsDefault } from "../../src/core/request-outcome.ts";
import type { Rules } from "../../src/core/rules.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { Probation } from "../../src/host/application/probation.ts";
import { type CarriedFailure, FrontHttp, type FrontHttpOptions, type TermHttp } from "./front-http.ts";
import { type Answer, methodOf, pathOf, type Request } from "./messages.ts";
import type { ServerEnd } from "./network.ts";
import type { SimApplication } from "./sim-application.ts";
import type { SimProcess } from "./sim-process.ts";

export interface FrontPorts {
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly http: FrontHttpOptions;
  readonly pausesHandover: boolean;
  readonly application: () => SimApplication | undefined;
  readonly epoch: () => number;
  /** It knows nothing of names: a request that is sent again by name is for another epoch. */
  readonly isEarlier: boolean;
  readonly rules: Rules;
  readonly onRelease: (epoch: number, request: Request, answer: Answer) => void;
  readonly onViolation: (what: string) => void;
}

type FrontState =
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "open"; readonly term: ServingTerm; readonly epoch: number; readonly service: Service }
  | { readonly kind: "draining"; readonly service: Service };

/** The requests of one term, until it is over. */
interface Service {
  isOver: boolean;
  readonly http: TermHttp;
  /** What the application has. */
  readonly executing: Set<Request>;
}

const restartWaitMs = 5_000;

type Open = FrontState & { readonly kind: "open" };

const fingerprint = (request: Request): Fingerprint => fingerprintOf(methodOf(request), pathOf(request));

/** The real table, and beside it what it must never do. */
class SimSuspects extends Suspects {
  /** Endings in a row that a path was executing at; another host's word counts as enough. */
  readonly #inRow = new Map<string, number>();

  override ended(executing: Iterable<Fingerprint>, now: number): Fingerprint[] {
    const all = [...executing];
    for (const key of new Set(all.map(keyOf))) this.#inRow.set(key, (this.#inRow.get(key) ?? 0) + 1);
    return super.ended(all, now);
  }

  override completed(request: Fingerprint, now: number): boolean {
    this.#inRow.delete(keyOf(request));
    return super.completed(request, now);
  }

  override adopt(known: readonly KnownSuspect[], now: number): void {
    for (const each of known) this.#inRow.set(keyOf(each), Infinity);
    super.adopt(known, now);
  }

  mayPutAside(request: Fingerprint): boolean {
    return (this.#inRow.get(keyOf(request)) ?? 0) >= endingsOfSuspect;
  }
}

/** No promise rests on the pause: requests begin, commit and complete while a flush is collected. */
class Unpaused extends Handover {
  override pause(): Promise<void> {
    return Promise.resolve();
  }
}

const keyOf = ({ method, path }: Fingerprint): string => `${method} ${path}`;
const endingsOfSuspect = 2;

export class SimFront implements FrontPort {
  readonly port = 80;
  readonly suspects: SimSuspects;
  readonly handover: Handover;
  readonly #ports: FrontPorts;
  readonly #probation: Probation;
  readonly #http: FrontHttp;
  #state: FrontState = { kind: "closed", reason: "starting" };
  #active = 0;
  #idle: (() => void) | undefined;

  constructor(ports: FrontPorts) {
    this.#ports = ports;
    this.suspects = new SimSuspects(ports.rules);
    this.handover = new (ports.pausesHandover ? Handover : Unpaused)(
      // Each runtime has a deflate of its own, and the length of a record takes time here.
      new RequestNames(ports.rules, { ...outcomeLimitsDefault, deflateLevel: 0 }),
      ports.process.clock,
    );
    this.#probation = new Probation(ports.process.clock);
    this.#http = new FrontHttp({ ...ports, options: ports.http, handover: this.handover });
  }

  serve(term: ServingTerm): void {
    const service: Service = { isOver: false, http: this.#http.begin(term), executing: new Set() };
    this.#state = { kind: "open", term, epoch: this.#ports.epoch(), service };
    term.endings.listen(() => {
      service.http.upstream.abortUnused("the application has ended");
      this.suspects.ended([...service.executing].map(fingerprint), this.#ports.process.clock.now());
    });
  }

  abort(reason: string): void {
    const state = this.#state;
    this.#state = { kind: "closed", reason };
    if (state.kind === "closed") return;
    state.service.isOver = true;
    state.service.http.end.abort(reason);
    state.service.http.upstream.abort(reason);
  }

  async drain({ drainMs: timeoutMs }: DrainTimes): Promise<{ readonly cut: number }> {
    if (this.#state.kind !== "open") return { cut: 0 };
    this.#state = { kind: "draining", service: this.#state.service };
    if (this.#active > 0) {
      const idle = new Promise<void>((resolve) => (this.#idle = resolve));
      const timer = this.#ports.process.clock.setTimer(timeoutMs, () => this.#idle?.());
      await idle;
      timer.cancel();
    }
    return { cut: this.#active };
  }

  onRequest(request: Request, client: ServerEnd<Answer>): void {
    const state = this.#state;
    if (state.kind !== "open") return client.answer({ kind: "not-executed", reason: state.kind });
    this.#active += 1;
    const done = (): void => {
      this.#active -= 1;
      if (this.#active === 0) this.#idle?.();
    };
    this.#forward(request, client, state).then(done, () => {
      done();
      client.reset();
    });
  }

  async #forward(request: Request, client: ServerEnd<Answer>, state: Open): Promise<void> {
    const { term } = state;
    if (this.#ports.isEarlier && request.named?.isAgain === true)
      return client.answer({ kind: "not-executed", reason: `routed for epoch ${request.epoch}-again` });
    if (!isOfEpoch(request.epoch?.toString(), term.epoch, this.#ports.rules))
      return client.answer({ kind: "not-executed", reason: `routed for epoch ${request.epoch}` });
    if (this.#standing(request, term).kind === "put-aside") return this.#putAside(request, client);
    if (!term.isReady && !(await this.#isReadyInTime(term)))
      return client.answer({ kind: "not-executed", reason: "the application is restarting" });
    if (!this.suspects.isWatching) return this.#execute(request, client, state);
    if (this.#standing(request, term).kind === "free") return this.#executeBeside(request, client, state);
    const endTurn = await this.#probation.turn();
    if (endTurn === undefined) return client.answer({ kind: "not-executed", reason: "too many wait for their turn" });
    try {
      if (!term.isReady && !(await this.#isReadyInTime(term)))
        return client.answer({ kind: "not-executed", reason: "the application is restarting" });
      const standing = this.#standing(request, term);
      if (standing.kind === "free") endTurn();
      if (standing.kind === "put-aside") return this.#putAside(request, client);
      if (standing.kind === "due") this.suspects.beginTrial(fingerprint(request));
      await this.#execute(request, client, state);
      this.suspects.abortTrial(fingerprint(request), this.#ports.process.clock.now());
    } finally {
      endTurn();
    }
  }

  /** As the front does beside turns of probation. */
  async #executeBeside(request: Request, client: ServerEnd<Answer>, state: Open): Promise<void> {
    for (let tries = 1; state.term.isReady || (await this.#isReadyInTime(state.term)); tries++) {
      const leave = await this.#probation.beside();
      try {
        if (state.term.isReady || tries === 3) return await this.#execute(request, client, state);
      } finally {
        leave();
      }
    }
    client.answer({ kind: "not-executed", reason: "the application is restarting" });
  }

  #standing(request: Request, term: ServingTerm): RequestStanding {
    return this.suspects.isWatching
      ? this.suspects.standing(fingerprint(request), this.#ports.process.clock.now(), term.maySpareEnding)
      : { kind: "free" };
  }

  #putAside(request: Request, client: ServerEnd<Answer>): void {
    const { method, path } = fingerprint(request);
    if (!this.suspects.mayPutAside(fingerprint(request)))
      this.#ports.onViolation(
        `${method} ${path} is set aside, and it completed between the endings of the application`,
      );
    client.answer({ kind: "put-aside", reason: `${method} ${path} has ended the application` });
  }

  async #execute(request: Request, client: ServerEnd<Answer>, { term, epoch, service }: Open): Promise<void> {
    if (request.named !== undefined) await this.handover.whenOpen();
    if (service.isOver) {
      if (request.named !== undefined) this.handover.decline();
      return client.reset();
    }
    const beginning = this.handover.begin(request, request.named, term.position);
    if (beginning.kind !== "execute") return this.#answerBefore(request, client, { term, epoch, service }, beginning);
    service.executing.add(request);
    const carried = await this.#http.carry(request, service.http, (answer) => {
      this.#ports.onRelease(epoch, request, answer);
    });
    service.executing.delete(request);
    if (carried.kind === "failed" && carried.outcome.kind === "not-sent") this.handover.withdraw(request);
    this.handover.over(request);
    if (carried.kind === "failed") {
      return this.#answerFailed(client, service, carried);
    }
    this.suspects.completed(fingerprint(request), this.#ports.process.clock.now());
    client.answer(carried.answer);
  }

  /** As the front does: an answer that is kept passes the gate as every other. */
  async #answerBefore(
    request: Request,
    client: ServerEnd<Answer>,
    { term, epoch, service }: Pick<Open, "term" | "epoch" | "service">,
    beginning: Beginning,
  ): Promise<void> {
    await term.gate();
    if (service.isOver) return client.reset();
    if (beginning.kind !== "recorded")
      return client.answer({ kind: "unknown", reason: "an earlier try may be kept", cause: "in-doubt" });
    const answer = this.#http.recordedAnswer(beginning.outcome);
    this.#ports.onRelease(epoch, request, answer);
    client.answer(answer);
  }

  #answerFailed(client: ServerEnd<Answer>, service: Service, { hasStarted, outcome }: CarriedFailure): void {
    if (service.isOver || hasStarted) return client.reset();
    switch (outcome.kind) {
      case "not-sent":
        return client.answer({ kind: "not-executed", reason: outcome.reason });
      case "upstream-invalid":
        return client.answer({ kind: "unknown", reason: outcome.reason, cause: "invalid" });
      case "lost":
        return client.answer({ kind: "unknown", reason: outcome.reason, cause: "application-ended" });
      default:
        throw new Error(`an application does not say ${outcome.kind}`);
    }
  }

  async #isReadyInTime(term: ServingTerm): Promise<boolean> {
    const timeout = new AbortController();
    const late = this.#ports.process.clock.sleep(restartWaitMs, timeout.signal).then(
      () => false,
      () => true,
    );
    const ready = await Promise.race([term.whenReady().then(() => true), late]);
    timeout.abort();
    return ready;
  }
}
