/**
 * A gateway process: the real state machine (src/core/failover.ts), the real replay rule (src/core/replay.ts), and a thin
 * driver around them for probes, streams, orders, held requests and the views of the other gateways.
 */
import type { HostStatus } from "../../src/control/host-status.ts";
import type { DemoteEvent, PromoteEvent } from "../../src/control/messages.ts";
import { viewForPeers } from "../../src/core/failover-relation.ts";
import { type FailoverEffect, type FailoverEvent, type FailoverSettings, type HostReport, initialServiceState, type ServiceState } from "../../src/core/failover-state.ts";
import { step, wakeAt } from "../../src/core/failover.ts";
import type { FailureCause } from "../../src/core/health.ts";
import { type AttemptOutcome, decideReplay } from "../../src/core/replay.ts";
import type { Rules } from "../../src/core/rules.ts";
import type { Timer } from "../../src/runtime/clock.ts";
import { type Answer, methodOf, type Request } from "./messages.ts";
import { dial, type Dialled, type Network, type ServerEnd } from "./network.ts";
import { hostOf } from "./sim-host.ts";
import type { SimMachine } from "./sim-machine.ts";
import { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

export interface GatewayOptions {
  readonly settings: Omit<FailoverSettings, "gateway">;
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
  readonly holdMs: number;
  readonly heldMax: number;
  readonly firstByteMs: number;
  readonly viewIntervalMs: number;
}

/** What a gateway keeps on its disk: enough to start again from. */
export interface GatewayDisk {
  epoch: { readonly host: string; readonly epoch: number; readonly dataUrl: string | null } | undefined;
}

export interface GatewayWatch {
  onFailover(gateway: string, effect: FailoverEffect & { kind: "record-failover" }): void;
  onCrash(gateway: string, error: unknown): void;
}

export interface GatewaySetup {
  readonly world: World;
  readonly network: Network;
  readonly machine: SimMachine;
  readonly machines: ReadonlyMap<string, SimMachine>;
  readonly hostNames: readonly string[];
  readonly gatewayNames: readonly string[];
  readonly disk: GatewayDisk;
  readonly rules: Rules;
  readonly options: GatewayOptions;
  readonly watch: GatewayWatch;
}

interface View {
  readonly gateway: string;
  readonly epoch: number;
  readonly sees: "up" | "down" | "unknown";
  readonly primary: string | null;
}

interface Held {
  readonly go: () => void;
  readonly timer: Timer;
}

const running = new WeakMap<SimProcess, SimGateway>();
export const gatewayOf = (process: SimProcess | undefined): SimGateway | undefined => (process === undefined ? undefined : running.get(process));

const streamAgainMs = 100;
const againPauseMs = 20;
const streamSilenceMs = 1_000;
const routedAfterMs = 0.2;

export class SimGateway {
  readonly process: SimProcess;
  readonly name: string;
  heldMost = 0;
  readonly #setup: GatewaySetup;
  #state: ServiceState;
  readonly #inbox: FailoverEvent[] = [];
  #isStepping = false;
  #wake: Timer | undefined;
  readonly #calls = new Map<number, Dialled>();
  readonly #held: Held[] = [];
  /** Requests that are at a host, to be dropped with it. */
  readonly #upstream = new Map<string, Set<() => void>>();
  #lastView = "";

  constructor(setup: GatewaySetup) {
    this.#setup = setup;
    const { machine, world, options, disk, hostNames, gatewayNames } = setup;
    this.name = machine.name;
    this.process = new SimProcess(world, machine.name, machine.clock);
    machine.process = this.process;
    running.set(this.process, this);
    this.#state = initialServiceState({ ...options.settings, gateway: machine.name });
    this.dispatch({ kind: "gateways", ids: gatewayNames });
    this.dispatch({ kind: "hosts", hosts: hostNames.map((id) => ({ id, controlUrl: `http://${id}`, priority: null, nofailover: null })) });
    if (disk.epoch !== undefined) this.dispatch({ kind: "recall", ...disk.epoch });
    for (const host of hostNames) {
      this.#probeForever(host);
      this.#stream(host);
    }
    this.#shareForever();
  }

  get state(): ServiceState {
    return this.#state;
  }

  dispatch(event: FailoverEvent): void {
    this.#inbox.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) this.#step(next);
    } catch (error) {
      this.#setup.watch.onCrash(this.name, error);
    } finally {
      this.#isStepping = false;
    }
    this.#setWake();
    this.#shareWhenChanged();
  }

  /** A client's request. */
  onRequest(request: Request, client: ServerEnd<Answer>): void {
    const reply = (answer: Answer): void => client.answer(answer);
    const attempt = (): void => {
      if (client.isClosed) return;
      const routed = this.#state.routed;
      if (routed.kind === "hold") return this.#hold(attempt, reply);
      this.#forward(request, routed.host, (outcome, answer) => {
        const decision = decideReplay(methodOf(request), outcome, this.#setup.rules);
        switch (decision.kind) {
          case "answered":
            if (answer !== undefined) reply(answer);
            return;
          case "again":
            this.process.clock.setTimer(againPauseMs, attempt);
            return;
          case "give_up":
            return reply({ kind: "not-executed", reason: decision.reason });
          case "unknown":
            return reply({ kind: "unknown", reason: decision.reason });
        }
      });
    };
    attempt();
  }

  receiveView(view: View): void {
    const at = this.process.clock.now();
    this.dispatch({ kind: "peer-view", view: { gateway: view.gateway, at, epoch: view.epoch, sees: view.sees }, primary: view.primary });
  }

  #step(event: FailoverEvent): void {
    const before = this.#state.phase;
    const { state, effects } = step(this.#state, event, this.process.clock.now(), this.#setup.rules);
    this.#state = state;
    if (state.phase.kind !== before.kind) this.#say(`${before.kind} -> ${state.phase.kind}`);
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: FailoverEffect): void {
    switch (effect.kind) {
      case "probe":
        return this.#probe(effect.host);
      case "promote": {
        const { host, epoch, planned, gatewaysRegistered, gatewaysSeeingDown, basedOn } = effect;
        this.#say(`asks ${host} to become primary after epoch ${epoch}, seen down by ${gatewaysSeeingDown.length} of ${gatewaysRegistered}`);
        const request = { gateway: this.name, epoch, planned, gatewaysRegistered, gatewaysSeeingDown: [...gatewaysSeeingDown], basedOn };
        return this.#call<PromoteEvent>(effect.call, host, "promote", (process, end) => hostOf(process)?.promote(request, end));
      }
      case "demote": {
        const { host, successor, reason } = effect;
        this.#say(`asks ${host} to step down for ${successor ?? "anybody"}`);
        return this.#call<DemoteEvent>(effect.call, host, "demote", (process, end) => hostOf(process)?.demote({ gateway: this.name, successor, reason }, end));
      }
      case "cancel":
        this.#calls.get(effect.call)?.abort();
        this.#calls.delete(effect.call);
        return;
      case "route":
        this.#say(`routes to ${effect.host}, epoch ${effect.epoch}`);
        for (const { go, timer } of this.#held.splice(0)) {
          timer.cancel();
          go();
        }
        this.process.clock.setTimer(routedAfterMs, () => this.dispatch({ kind: "routed", epoch: effect.epoch }));
        return;
      case "hold":
        return this.#say(`holds: ${effect.reason}`);
      case "drop":
        for (const cut of [...(this.#upstream.get(effect.host) ?? [])]) cut();
        return;
      case "record-epoch": {
        const { host, epoch, dataUrl } = effect;
        this.#setup.disk.epoch = { host, epoch, dataUrl };
        return;
      }
      case "record-failover":
        return this.#setup.watch.onFailover(this.name, effect);
      case "note":
        return this.#say(`${effect.what}: ${effect.detail}`);
      case "reply":
        return this.#say(`command ${effect.id}: ${effect.outcome.kind}`);
    }
  }

  #call<Event extends PromoteEvent | DemoteEvent>(call: number, host: string, label: string, serve: (process: SimProcess, end: ServerEnd<Event>) => void): void {
    const to = this.#machine(host);
    const dialled = dial<Event>({
      ...this.#from(to, label),
      serve,
      onLine: (event) => {
        switch (event.kind) {
          case "phase":
            return this.dispatch({ kind: "phase-ended", call, phase: event.phase, ms: event.ms });
          case "done":
            this.#calls.delete(call);
            return this.dispatch("epoch" in event ? { kind: "promoted", call, epoch: event.epoch, dataUrl: event.dataUrl } : { kind: "demoted", call });
          case "refused":
            this.#calls.delete(call);
            this.#say(`${host} refuses: ${JSON.stringify(event.refusal)}`);
            return this.dispatch({ kind: "call-refused", call, refusal: event.refusal });
        }
      },
      onEnd: (how) => {
        if (this.#calls.delete(call)) this.dispatch({ kind: "call-lost", call, why: how });
      },
    });
    this.#calls.set(call, dialled);
  }

  #forward(request: Request, host: string, done: (outcome: AttemptOutcome, answer?: Answer) => void): void {
    const to = this.#machine(host);
    let isOver = false;
    const cuts = this.#upstream.get(host) ?? new Set();
    this.#upstream.set(host, cuts);
    const settle = (outcome: AttemptOutcome, answer?: Answer): void => {
      if (isOver) return;
      isOver = true;
      cuts.delete(cut);
      timer.cancel();
      dialled.abort();
      if (outcome.kind === "not_sent" || outcome.kind === "lost") this.dispatch({ kind: "data-error", host, cause: outcome.reason });
      done(outcome, answer);
    };
    const lost = (reason: string): void => settle({ kind: "lost", released: false, bodyHeld: true, reason });
    const cut = (): void => lost("dropped");
    cuts.add(cut);
    const timer = this.process.clock.setTimer(this.#setup.options.firstByteMs, () => lost("no answer in time"));
    const dialled = dial<Answer>({
      ...this.#from(to, request.kind),
      serve: (process, end) => hostOf(process)?.request(request, end),
      onLine: (answer) => {
        if (answer.kind === "not-executed") settle({ kind: "not_executed", bodyHeld: true, reason: answer.reason });
        else settle({ kind: "completed" }, answer);
      },
      onEnd: (how) => {
        if (how === "refused") settle({ kind: "not_sent", reason: "refused" });
        else lost(how);
      },
    });
  }

  #hold(again: () => void, reply: (answer: Answer) => void): void {
    const { heldMax, holdMs } = this.#setup.options;
    if (this.#held.length >= heldMax) return reply({ kind: "not-executed", reason: "too many requests wait" });
    const timer = this.process.clock.setTimer(holdMs, () => {
      const at = this.#held.indexOf(held);
      if (at >= 0) this.#held.splice(at, 1);
      reply({ kind: "not-executed", reason: "no primary in time" });
    });
    const held: Held = { go: again, timer };
    this.#held.push(held);
    this.heldMost = Math.max(this.heldMost, this.#held.length);
  }

  #probeForever(host: string): void {
    this.#probe(host);
    this.process.clock.setTimer(this.#setup.options.probeIntervalMs, () => this.#probeForever(host));
  }

  #probe(host: string): void {
    const to = this.#machine(host);
    const startedAt = this.process.clock.now();
    let isOver = false;
    const settle = (event: FailoverEvent): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      dialled.abort();
      this.dispatch(event);
    };
    const failed = (cause: FailureCause): void => settle({ kind: "probe-failed", host, cause, startedAt });
    const timer = this.process.clock.setTimer(this.#setup.options.probeTimeoutMs, () => failed("timeout"));
    const dialled = dial<HostStatus>({
      ...this.#from(to, "probe"),
      serve: (process, end) => hostOf(process)?.status(end),
      onLine: (status) => settle({ kind: "report", host, report: reportOf(status), startedAt }),
      onEnd: (how) => failed(how === "refused" ? "refused" : "reset"),
    });
  }

  #stream(host: string): void {
    const to = this.#machine(host);
    const { clock } = this.process;
    let hasSpoken = false;
    let silence = clock.setTimer(streamSilenceMs, () => over(true));
    let isOver = false;
    const over = (silent: boolean): void => {
      if (isOver) return;
      isOver = true;
      silence.cancel();
      if (silent) dialled.abort();
      if (hasSpoken && !silent) this.dispatch({ kind: "stream-ended", host });
      clock.setTimer(streamAgainMs, () => this.#stream(host));
    };
    const dialled = dial<HostStatus>({
      ...this.#from(to, "stream"),
      serve: (process, end) => hostOf(process)?.streamStatus(end),
      onLine: (status) => {
        hasSpoken = true;
        silence.cancel();
        silence = clock.setTimer(streamSilenceMs, () => over(true));
        this.dispatch({ kind: "report", host, report: reportOf(status), startedAt: null });
      },
      onEnd: () => over(false),
    });
  }

  #setWake(): void {
    const now = this.process.clock.now();
    const at = wakeAt(this.#state, now);
    this.#wake?.cancel();
    this.#wake = at === null ? undefined : this.process.clock.setTimer(at - now + 0.01, () => this.dispatch({ kind: "time" }));
  }

  #shareForever(): void {
    this.#lastView = "";
    this.#shareWhenChanged();
    this.process.clock.setTimer(this.#setup.options.viewIntervalMs, () => this.#shareForever());
  }

  #shareWhenChanged(): void {
    const primary = this.#state.primary;
    const sees = viewForPeers(this.#state, this.process.clock.now());
    const view: View = { gateway: this.name, epoch: primary?.epoch ?? 0, sees, primary: primary?.host ?? null };
    const text = `${view.epoch} ${view.sees} ${view.primary}`;
    if (text === this.#lastView) return;
    this.#lastView = text;
    for (const peer of this.#setup.gatewayNames) {
      if (peer === this.name) continue;
      const to = this.#machine(peer);
      dial<never>({ ...this.#from(to, "view"), serve: (process, end) => {
        gatewayOf(process)?.receiveView(view);
        end.end();
      }, onLine: () => undefined, onEnd: () => undefined });
    }
  }

  #machine(name: string): SimMachine {
    const machine = this.#setup.machines.get(name);
    if (machine === undefined) throw new Error(`no machine ${name}`);
    return machine;
  }

  #from(to: SimMachine, label: string) {
    return { network: this.#setup.network, client: this.process, from: this.name, to, label } as const;
  }

  #say(what: string): void {
    this.#setup.world.say(this.name, what);
  }
}

function reportOf(status: HostStatus): HostReport {
  const { service, host, instance, role, reason, epoch, epochHost, position, dataUrl, priority, nofailover, leaseMs, vaultSilentMs, clockMs, handover } = status;
  return { service, host, instance, role, reason, epoch, epochHost, position, dataUrl, priority, nofailover, leaseMs, vaultSilentMs, clockMs, handover };
}
