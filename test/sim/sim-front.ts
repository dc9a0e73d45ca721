/**
 * The front of a host (`FrontPort`): decides like src/host/front.ts, on messages in place of sockets. Every answer of the
 * application passes the journal's gate; what is released is told to the checker at that very moment.
 */
import type { FrontPort, Term } from "../../src/host/front.ts";
import { Suspects } from "../../src/core/suspects.ts";
import type { DrainTimes } from "../../src/host/drain.ts";
import { isOfEpoch } from "../../src/core/replay.ts";
import type { Rules } from "../../src/core/rules.ts";
import type { Answer, Request } from "./messages.ts";
import type { ServerEnd } from "./network.ts";
import type { SimApplication } from "./sim-application.ts";
import type { SimProcess } from "./sim-process.ts";

export interface FrontPorts {
  readonly process: SimProcess;
  readonly application: () => SimApplication | undefined;
  readonly epoch: () => number;
  readonly rules: Rules;
  readonly onRelease: (epoch: number, request: Request, answer: Answer) => void;
}

type FrontState =
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "open"; readonly term: Term; readonly epoch: number; readonly service: Service }
  | { readonly kind: "draining"; readonly service: Service };

/** The requests of one term, until it is over. */
interface Service {
  isOver: boolean;
  readonly cuts: Set<() => void>;
}

const restartWaitMs = 5_000;

export class SimFront implements FrontPort {
  readonly port = 80;
  readonly suspects = new Suspects();
  readonly #ports: FrontPorts;
  #state: FrontState = { kind: "closed", reason: "starting" };
  #active = 0;
  #idle: (() => void) | undefined;

  constructor(ports: FrontPorts) {
    this.#ports = ports;
  }

  serve(term: Term): void {
    this.#state = { kind: "open", term, epoch: this.#ports.epoch(), service: { isOver: false, cuts: new Set() } };
  }

  shut(reason: string): void {
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

  async #forward(request: Request, client: ServerEnd<Answer>, { term, epoch, service }: FrontState & { kind: "open" }): Promise<void> {
    if (!isOfEpoch(request.epoch?.toString(), term.epoch, this.#ports.rules)) return client.answer({ kind: "not-executed", reason: `routed for epoch ${request.epoch}` });
    if (!term.isReady && !(await this.#isReadyInTime(term))) return client.answer({ kind: "not-executed", reason: "the application is restarting" });
    const application = this.#ports.application();
    if (application === undefined) throw new Error("a term without an application");
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
    if (executed === "cut" || service.isOver) return client.reset();
    if (executed === undefined) return client.answer({ kind: "unknown", reason: "the application died" });
    if (executed.wantsCheckpoint) term.onCheckpointAsked();
    const gate = term.gate();
    if (gate !== undefined) await gate;
    if (service.isOver) return client.reset();
    this.#ports.onRelease(epoch, request, executed.answer);
    client.answer(executed.answer);
  }

  async #isReadyInTime(term: Term): Promise<boolean> {
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
