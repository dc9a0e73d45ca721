/**
 * A small world for the state machine: hosts, a log, and gateways that run the real `step`, on a simulated clock, with
 * faults at random moments. One seed is one history. It is about the gateways; hosts and log are as simple as they can
 * be: a claim takes the next epoch, an old primary notices at its next write, the witness is the real one.
 */
import { step, wakeAt } from "../../../src/core/failover/failover.ts";
import { viewForPeers } from "../../../src/core/failover/primary-status.ts";
import {
  initialServiceState,
  type FailoverEffect,
  type FailoverEvent,
  type HostReport,
  type ServiceState,
} from "../../../src/core/failover/state.ts";
import { judgeAge, judgePromotion } from "../../../src/core/host/witness.ts";
import { settings } from "./failover-scenario.ts";

const probeIntervalMs = 250;
const probeTimeoutMs = 500;
const leaseMs = 1000;

interface SimHost {
  readonly id: string;
  alive: boolean;
  hung: boolean;
  run: number;
  role: HostReport["role"];
  /** It stepped down for another host, and no host has claimed since. */
  handedOver: { readonly to: string; readonly at: number } | undefined;
  /** Work that continues when it wakes up. */
  frozen: (() => void)[];
}

interface SimGateway {
  readonly id: string;
  state: ServiceState;
  wake: number;
  readonly calls: Map<number, { cancelled: boolean }>;
}

export class World {
  now = 0;
  readonly hosts: SimHost[];
  readonly gateways: SimGateway[];
  readonly log = { epoch: 0, owner: undefined as string | undefined, vacated: false, writtenAt: 0 };
  /** `gateway host` or `gateway gateway` pairs that cannot talk. */
  readonly cut = new Set<string>();
  readonly transitions = new Set<string>();
  promotions = 0;
  /** Claims without an operator while the owner was up, not hung, and reachable from every gateway. */
  toppled = 0;
  readonly #random: () => number;
  #queue: { at: number; order: number; work: () => void }[] = [];
  #order = 0;

  constructor(seed: number, hosts: number, gateways: number) {
    this.#random = mulberry32(seed);
    this.hosts = Array.from({ length: hosts }, (_, at) => ({
      id: `h${at}`,
      alive: true,
      hung: false,
      run: 1,
      role: "secondary" as const,
      handedOver: undefined,
      frozen: [],
    }));
    const ids = Array.from({ length: gateways }, (_, at) => `g${at}`);
    this.gateways = ids.map((id) => ({
      id,
      state: initialServiceState({ ...settings, gateway: id }),
      wake: 0,
      calls: new Map<number, { cancelled: boolean }>(),
    }));
    const registered = this.hosts.map(({ id }) => ({
      id,
      controlUrl: `http://${id}`,
      priority: undefined,
      nofailover: undefined,
    }));
    for (const gateway of this.gateways) {
      this.send(gateway, { kind: "gateways", ids });
      this.send(gateway, { kind: "hosts", hosts: registered });
      for (const host of this.hosts)
        this.after(this.between(0, probeIntervalMs), () => this.#probeForever(gateway, host));
      this.after(this.between(0, 1000), () => this.#shareForever(gateway));
    }
    this.after(100, () => this.#renewForever());
  }

  between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(all: readonly T[]): T {
    const found = all[Math.floor(this.#random() * all.length)];
    if (found === undefined) throw new Error("nothing to pick from");
    return found;
  }

  after(ms: number, work: () => void): void {
    this.#queue.push({ at: this.now + ms, order: this.#order++, work });
  }

  runUntil(time: number): void {
    for (;;) {
      this.#queue.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#queue[0];
      if (next === undefined || next.at > time) break;
      this.#queue.shift();
      this.now = next.at;
      next.work();
    }
    this.now = time;
  }

  send(gateway: SimGateway, event: FailoverEvent): void {
    const before = gateway.state;
    const { state, effects } = step(before, event, this.now);
    gateway.state = state;
    if (before.phase.kind !== state.phase.kind) this.transitions.add(`${before.phase.kind} -> ${state.phase.kind}`);
    for (const effect of effects) this.#perform(gateway, effect);
    if (viewForPeers(before, this.now) !== viewForPeers(state, this.now)) this.#share(gateway);
    const at = wakeAt(gateway.state, this.now);
    if (at === undefined || at === gateway.wake) return;
    gateway.wake = at;
    this.after(at - this.now, () => this.send(gateway, { kind: "time" }));
  }

  // --- faults -------------------------------------------------------------------------------------------------------

  crash(host: SimHost): void {
    if (!host.alive) return;
    host.alive = false;
    host.hung = false;
    host.frozen = [];
    for (const gateway of this.gateways) {
      this.after(
        this.between(1, 5),
        () => this.#reachable(gateway.id, host.id) && this.send(gateway, { kind: "stream-ended", host: host.id }),
      );
    }
  }

  restart(host: SimHost): void {
    if (host.alive) return;
    host.alive = true;
    host.run++;
    host.role = "restoring";
    host.handedOver = undefined;
    const { run } = host;
    this.after(this.between(10, 400), () => host.alive && host.run === run && this.#become(host, "secondary"));
  }

  hang(host: SimHost): void {
    if (host.alive) host.hung = true;
  }

  wakeUp(host: SimHost): void {
    if (!host.hung) return;
    host.hung = false;
    for (const work of host.frozen.splice(0)) work();
  }

  /** Everything works again. */
  heal(): void {
    this.cut.clear();
    for (const host of this.hosts) {
      this.wakeUp(host);
      this.restart(host);
    }
    for (const gateway of this.gateways)
      this.send(gateway, { kind: "command", id: "resume", command: { kind: "resume" } });
  }

  // --- hosts --------------------------------------------------------------------------------------------------------

  report(host: SimHost): HostReport {
    const reads = host.role !== "restoring";
    return {
      service: settings.service,
      host: host.id,
      instance: `${host.id}-${host.run}`,
      role: host.role,
      reason: undefined,
      epoch: reads ? this.log.epoch : 0,
      epochHost: reads ? this.log.owner : undefined,
      position: this.log.epoch,
      dataUrl: `http://data/${host.id}`,
      priority: 0,
      nofailover: false,
      leaseMs: 1000,
      vaultSilentMs: 5,
      clockMs: this.now,
      handover:
        host.handedOver === undefined ? undefined : { to: host.handedOver.to, forMs: this.now - host.handedOver.at },
      impairments: [],
      retry: undefined,
      vault: undefined,
      application: undefined,
    };
  }

  #become(host: SimHost, role: HostReport["role"]): void {
    host.role = role;
    for (const gateway of this.gateways) this.#push(gateway, host);
  }

  #push(gateway: SimGateway, host: SimHost): void {
    if (!host.alive || host.hung) return;
    const report = this.report(host);
    this.after(
      this.between(1, 15),
      () =>
        this.#reachable(gateway.id, host.id) &&
        this.send(gateway, { kind: "report", host: host.id, report, startedAt: undefined }),
    );
  }

  /** Does work in a host after `ms`, if this run of it lives by then; a hung one does it when it wakes up. */
  #inHost(host: SimHost, ms: number, work: () => void, died: () => void): void {
    const { run } = host;
    this.after(ms, () => {
      if (!host.alive || host.run !== run) died();
      else if (host.hung) host.frozen.push(work);
      else work();
    });
  }

  #renewForever(): void {
    const owner = this.hosts.find(({ id }) => id === this.log.owner);
    const serving = owner !== undefined && owner.alive && !owner.hung && owner.role === "primary";
    if (serving) this.log.writtenAt = this.now;
    for (const host of this.hosts) {
      const fenced =
        host.alive &&
        !host.hung &&
        host !== owner &&
        (host.role === "primary" || host.role === "starting" || host.role === "draining");
      if (fenced) {
        this.#become(host, "restoring");
        this.#inHost(
          host,
          50,
          () => this.#become(host, "secondary"),
          () => undefined,
        );
      }
    }
    this.after(100, () => this.#renewForever());
  }

  // --- the gateway's ports ------------------------------------------------------------------------------------------

  #reachable(a: string, b: string): boolean {
    return !this.cut.has(`${a} ${b}`) && !this.cut.has(`${b} ${a}`);
  }

  #probeForever(gateway: SimGateway, host: SimHost): void {
    this.#probe(gateway, host);
    if (this.chance(0.9)) this.#push(gateway, host);
    this.after(probeIntervalMs, () => this.#probeForever(gateway, host));
  }

  #probe(gateway: SimGateway, host: SimHost): void {
    const startedAt = this.now;
    const failed = (cause: "refused" | "timeout", ms: number): void =>
      this.after(ms, () => this.send(gateway, { kind: "probe-failed", host: host.id, cause, startedAt }));
    if (!this.#reachable(gateway.id, host.id) || host.hung) return failed("timeout", probeTimeoutMs);
    if (!host.alive) return failed("refused", this.between(0.2, 2));
    const report = this.report(host);
    this.after(this.between(0.5, 20), () => this.send(gateway, { kind: "report", host: host.id, report, startedAt }));
  }

  #shareForever(gateway: SimGateway): void {
    this.#share(gateway);
    this.after(1000, () => this.#shareForever(gateway));
  }

  #share(gateway: SimGateway): void {
    const { primary } = gateway.state;
    const sees = viewForPeers(gateway.state, this.now);
    for (const other of this.gateways) {
      if (other === gateway || !this.#reachable(gateway.id, other.id)) continue;
      this.after(this.between(1, 30), () =>
        this.send(other, {
          kind: "peer-view",
          view: { gateway: gateway.id, at: this.now, epoch: primary?.epoch ?? 0, sees },
          primary: primary?.host,
        }),
      );
    }
  }

  #perform(gateway: SimGateway, effect: FailoverEffect): void {
    const hostOf = (id: string): SimHost => this.hosts.find((host) => host.id === id) ?? this.pick(this.hosts);
    switch (effect.kind) {
      case "probe":
        return this.#probe(gateway, hostOf(effect.host));
      case "promote":
        return this.#promote(gateway, hostOf(effect.host), effect);
      case "demote":
        return this.#demote(gateway, hostOf(effect.host), effect);
      case "cancel": {
        const call = gateway.calls.get(effect.call);
        if (call !== undefined) call.cancelled = true;
        return;
      }
      case "route":
        return this.after(0.1, () => this.send(gateway, { kind: "routed", epoch: effect.epoch }));
      default:
        return;
    }
  }

  /** Answers reach the gateway unless the line is cut or, sometimes, lost; then the call is lost. */
  #answer(gateway: SimGateway, host: SimHost, call: number, event: FailoverEvent): void {
    const lost = this.chance(0.05);
    this.after(this.between(0.5, 10), () => {
      if (gateway.calls.get(call)?.cancelled === true) return;
      const arrives = !lost && this.#reachable(gateway.id, host.id);
      this.send(gateway, arrives ? event : { kind: "call-lost", call, why: "the answer was lost" });
      if (!arrives) gateway.calls.set(call, { cancelled: true });
    });
  }

  #promote(gateway: SimGateway, host: SimHost, order: Extract<FailoverEffect, { kind: "promote" }>): void {
    const { call } = order;
    gateway.calls.set(call, { cancelled: false });
    const lost = (): void => this.#answer(gateway, host, call, { kind: "call-lost", call, why: "reset" });
    if (!this.#reachable(gateway.id, host.id)) return this.after(2000, lost);
    this.#inHost(
      host,
      this.between(0.5, 5),
      () => {
        const evidence = {
          planned: order.planned,
          epoch: order.epoch,
          gatewaysRegistered: order.gatewaysRegistered,
          gatewaysSeeingDown: order.gatewaysSeeingDown.length,
          positionHeard: 0,
          vault: undefined,
        };
        const log = {
          epoch: this.log.epoch,
          epochHost: this.log.owner,
          vacated: this.log.vacated,
          position: 0,
          vault: undefined,
          lastRecordAgeMs: this.now - this.log.writtenAt,
          leaseMs,
        };
        const verdict = judgePromotion(evidence, log);
        const expired = judgeAge(order.basedOn, `${host.id}-${host.run}`, this.now);
        if (expired !== undefined)
          return this.#answer(gateway, host, call, { kind: "call-refused", call, refusal: expired });
        if (host.role !== "secondary" || verdict.kind === "refused") {
          const refusal =
            host.role !== "secondary" || verdict.kind !== "refused"
              ? { kind: "not_ready" as const, reason: `it is ${host.role}` }
              : verdict.refusal;
          return this.#answer(gateway, host, call, { kind: "call-refused", call, refusal });
        }
        this.#become(host, "claiming");
        this.#inHost(host, this.between(2, 15), () => this.#claim(gateway, host, order, lost), lost);
      },
      lost,
    );
  }

  #claim(
    gateway: SimGateway,
    host: SimHost,
    order: Extract<FailoverEffect, { kind: "promote" }>,
    lost: () => void,
  ): void {
    const owner = this.hosts.find(({ id }) => id === this.log.owner);
    const well =
      owner !== undefined &&
      owner !== host &&
      owner.alive &&
      !owner.hung &&
      owner.role === "primary" &&
      this.gateways.every(({ id }) => this.#reachable(id, owner.id));
    if (well && !order.planned) this.toppled++;
    this.log.epoch++;
    for (const other of this.hosts) other.handedOver = undefined;
    this.log.owner = host.id;
    this.log.vacated = false;
    this.log.writtenAt = this.now;
    this.promotions++;
    const { epoch } = this.log;
    this.#become(host, "starting");
    this.#answer(gateway, host, order.call, { kind: "phase-ended", call: order.call, phase: "claim", ms: 5 });
    this.#inHost(
      host,
      this.between(20, 300),
      () => {
        if (this.log.owner !== host.id) return; // fenced meanwhile; it notices at its next write
        this.#become(host, "primary");
        this.#answer(gateway, host, order.call, {
          kind: "promoted",
          call: order.call,
          epoch,
          dataUrl: this.report(host).dataUrl,
        });
      },
      lost,
    );
  }

  #demote(gateway: SimGateway, host: SimHost, { call, successor }: Extract<FailoverEffect, { kind: "demote" }>): void {
    gateway.calls.set(call, { cancelled: false });
    const lost = (): void => this.#answer(gateway, host, call, { kind: "call-lost", call, why: "reset" });
    if (!this.#reachable(gateway.id, host.id)) return this.after(2000, lost);
    this.#inHost(
      host,
      this.between(0.5, 5),
      () => {
        if (host.role !== "primary")
          return this.#answer(gateway, host, call, {
            kind: "call-refused",
            call,
            refusal: { kind: "not_ready", reason: `it is ${host.role}` },
          });
        this.#become(host, "draining");
        this.#inHost(
          host,
          this.between(5, 200),
          () => {
            if (host.role !== "draining") return lost();
            if (this.log.owner === host.id) this.log.vacated = true;
            if (successor !== undefined) host.handedOver = { to: successor, at: this.now };
            this.#become(host, "restoring");
            this.#answer(gateway, host, call, { kind: "demoted", call });
            this.#inHost(
              host,
              30,
              () => this.#become(host, "secondary"),
              () => undefined,
            );
          },
          lost,
        );
      },
      lost,
    );
  }
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
