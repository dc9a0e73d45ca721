/**
 * The front of a host (`FrontPort`): decides like src/host/application/front.ts, on messages in place of sockets. Every
 * answer of the application passes the journal's gate; what is released is told to the checker at that very moment.
 */
import type { FrontPort, ServingTerm } from "../../src/host/application/front.ts";
import {
  type Fingerprint,
  fingerprintOf,
  type KnownSuspect,
  type RequestStanding,
  Suspects,
} from "../../src/core/suspects.ts";
import type { DrainTimes } from "../../src/host/application/drain.ts";
import { isOfEpoch } from "../../src/core/replay.ts";
import type { Rules } from "../../src/core/rules.ts";
import { Probation } from "../../src/host/application/probation.ts";
import { type Answer, methodOf, pathOf, type Request } from "./messages.ts";
import type { ServerEnd } from "./network.ts";
import type { SimApplication } from "./sim-application.ts";
import type { SimProcess } from "./sim-process.ts";

export interface FrontPorts {
  readonly process: SimProcess;
  readonly application: () => SimApplication | undefined;
  readonly epoch: () => number;
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
  readonly cuts: Set<() => void>;
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

const keyOf = ({ method, path }: Fingerprint): string => `${method} ${path}`;
const endingsOfSuspect = 2;

export class SimFront implements FrontPort {
  readonly port = 80;
  readonly suspects: SimSuspects;
  readonly #ports: FrontPorts;
  readonly #probation: Probation;
  #state: FrontState = { kind: "closed", reason: "starting" };
  #active = 0;
  #idle: (() => void) | undefined;

  constructor(ports: FrontPorts) {
    this.#ports = ports;
    this.suspects = new SimSuspects(ports.rules);
    this.#probation = new Probation(ports.process.clock);
  }

  serve(term: ServingTerm): void {
    const service: Service = { isOver: false, cuts: new Set(), executing: new Set() };
    this.#state = { kind: "open", term, epoch: this.#ports.epoch(), service };
    term.endings.listen(() =>
      this.suspects.ended([...service.executing].map(fingerprint), this.#ports.process.clock.now()),
    );
  }

  abort(reason: string): void {
    const state = this.#state;
    this.#state = { kind: "closed", reason };
    if (state.kind === "closed") return;
    state.service.isOver = true;
    for (const cut of [...state.service.cuts]) cut();
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
    const application = this.#ports.application();
    if (application === undefined) throw new Error("a term without an application");
    service.executing.add(request);
    const executed = await new Promise<Parameters<Parameters<SimApplication["run"]>[1]>[0] | "cut">((resolve) => {
      const leave = application.run(request, (answer) => {
        service.cuts.delete(cut);
        resolve(answer);
      });
      const cut = (): void => {
        leave();
        resolve("cut");
      };
      if (service.isOver) cut();
      else service.cuts.add(cut);
    });
    service.executing.delete(request);
    if (executed === "cut" || service.isOver) return client.reset();
    if (executed === undefined)
      return client.answer({ kind: "unknown", reason: "the application died", cause: "application-ended" });
    if (executed.answer.kind === "invalid")
      return client.answer({ kind: "unknown", reason: "the application's answer is invalid", cause: "invalid" });
    if (executed.wantsCheckpoint) term.onCheckpointAsked();
    const gate = term.gate();
    if (gate !== undefined) await gate;
    if (service.isOver) return client.reset();
    this.#ports.onRelease(epoch, request, executed.answer);
    this.suspects.completed(fingerprint(request), this.#ports.process.clock.now());
    client.answer(executed.answer);
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
