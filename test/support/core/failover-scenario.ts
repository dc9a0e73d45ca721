/** Drives the state machine in tests: a clock that only moves when told, hosts that report what the test says. */
import { allRules, type Rules } from "../../../src/core/rules.ts";
import { step } from "../../../src/core/failover/failover.ts";
import {
  initialServiceState,
  type FailoverEffect,
  type FailoverEvent,
  type HostReport,
  type ServiceState,
} from "../../../src/core/failover/state.ts";
import type { FailoverSettings } from "../../../src/core/failover/settings.ts";

export const settings: FailoverSettings = {
  gateway: "g1",
  service: "notes",
  fall: 2,
  rise: 2,
  agreeWaitMs: 150,
  staggerMs: 50,
  viewFreshMs: 2500,
  staleMs: 1500,
  streamAliveMs: 750,
  awaitMs: 1000,
  electWaitMs: 1000,
  retryMs: 1000,
  claimMs: 5000,
  startMs: 30_000,
  demoteMs: 15_000,
};

export const report = (host: string, change: Partial<HostReport> = {}): HostReport => ({
  service: "notes",
  host,
  instance: `${host}-1`,
  role: "secondary",
  reason: undefined,
  epoch: 1,
  epochHost: "a",
  position: 10,
  dataUrl: `http://127.0.0.1:1000/${host}`,
  priority: 0,
  nofailover: false,
  leaseMs: 1000,
  vaultSilentMs: 5,
  clockMs: 7,
  handover: undefined,
  impairments: [],
  retry: undefined,
  vault: undefined,
  application: undefined,
  ...change,
});

type EffectOf<K extends FailoverEffect["kind"]> = Extract<FailoverEffect, { kind: K }>;

export class Scenario {
  state: ServiceState;
  now = 1000;
  /** Effects since the last `take`. */
  effects: FailoverEffect[] = [];
  readonly rules: Rules;

  constructor(change: Partial<FailoverSettings> = {}, rules: Rules = allRules) {
    this.state = initialServiceState({ ...settings, ...change });
    this.rules = rules;
  }

  send(event: FailoverEvent): this {
    const result = step(this.state, event, this.now, this.rules);
    this.state = result.state;
    this.effects.push(...result.effects);
    return this;
  }

  register(...ids: string[]): this {
    const hosts = ids.map((id) => ({
      id,
      controlUrl: `http://control/${id}`,
      priority: undefined,
      nofailover: undefined,
    }));
    return this.send({ kind: "hosts", hosts });
  }

  hears(host: string, change: Partial<HostReport> = {}): this {
    return this.send({ kind: "report", host, report: report(host, change), startedAt: undefined });
  }

  refused(host: string): this {
    return this.send({ kind: "probe-failed", host, cause: "refused", startedAt: this.now });
  }

  timedOut(host: string): this {
    return this.send({ kind: "probe-failed", host, cause: "timeout", startedAt: this.now });
  }

  after(ms: number): this {
    this.now += ms;
    return this.send({ kind: "time" });
  }

  /** The effects of one kind since the last time any were taken; forgets all. */
  take<K extends FailoverEffect["kind"]>(kind: K): EffectOf<K>[] {
    const found = this.effects.filter((effect): effect is EffectOf<K> => effect.kind === kind);
    this.effects = [];
    return found;
  }

  /** Without forgetting. */
  all<K extends FailoverEffect["kind"]>(kind: K): EffectOf<K>[] {
    return this.effects.filter((effect): effect is EffectOf<K> => effect.kind === kind);
  }

  get phase(): string {
    return this.state.phase.kind;
  }

  /** Number of the call in flight. */
  get call(): number {
    const phase = this.state.phase;
    if (phase.kind !== "promoting" && phase.kind !== "demoting") throw new Error(`no call is in flight: ${phase.kind}`);
    return phase.call;
  }

  /** Hosts a (primary, epoch 1), b and c, all healthy. */
  static serving(change: Partial<FailoverSettings> = {}, rules: Rules = allRules): Scenario {
    const scenario = new Scenario(change, rules).register("a", "b", "c");
    scenario.hears("a", { role: "primary" }).hears("b").hears("c");
    scenario.effects = [];
    return scenario;
  }
}
