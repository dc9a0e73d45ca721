/** A client of a gateway's admin API: the failovers that it recorded, its counters, a switchover. */
import type { ChannelClient } from "../src/control/channel/client.ts";
import type { FailoverEntry } from "../src/control/failover-api.ts";
import type { ClusterService } from "../src/control/gateway-api.ts";
import { type GatewayAnswer, GatewayClient } from "../src/control/gateway-client.ts";
import type { Clock } from "../src/runtime/clock.ts";

/** All phases, in their order: a switchover has `demote`; `wait` and `retry` should be 0. */
export const phaseNames = [
  "detect",
  "agree",
  "demote",
  "wait",
  "retry",
  "claim",
  "lease",
  "catchup",
  "start",
  "route",
] as const;

/** Milliseconds of each phase as the gateway recorded them; 0 for a phase that did not happen. */
export type PhaseTimes = Readonly<Record<(typeof phaseNames)[number], number>>;

export const noPhases: PhaseTimes = {
  detect: 0,
  agree: 0,
  demote: 0,
  wait: 0,
  retry: 0,
  claim: 0,
  lease: 0,
  catchup: 0,
  start: 0,
  route: 0,
};

/** One failover or switchover that is complete. */
export interface RecordedFailover {
  /** Ascending in the order of recording. */
  readonly order: number;
  readonly kind: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly phases: PhaseTimes;
}

export interface GatewayCounters {
  readonly held: number;
  readonly replayed: number;
}

/** One gateway's view of the service. */
export interface ServiceView {
  /** State of its failover: `serving`, `promoting`, … */
  readonly phase: string;
  readonly counters: GatewayCounters;
  /** Failovers that succeeded, oldest first; ids are unique among all gateways and their runs. */
  readonly done: readonly IdentifiedFailover[];
  /** The failover in progress. */
  readonly running: IdentifiedFailover | undefined;
}

export interface IdentifiedFailover {
  readonly id: string;
  readonly failover: RecordedFailover;
}

/** The gateway did not answer, or refused. */
export class GatewayViewError extends Error {
  override readonly name = "GatewayViewError";
  /** Of the gateway's refusal (src/control/refused.ts); undefined if it did not refuse. */
  readonly code: string | undefined;
  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

export class GatewayView {
  readonly #client: GatewayClient;
  readonly #service: string;

  constructor(adminUrl: string, caller: ChannelClient | string, service: string, clock: Clock) {
    this.#client = new GatewayClient(adminUrl, caller, clock);
    this.#service = service;
  }

  /** Those that succeeded, of all gateways, oldest first. */
  async failovers(): Promise<readonly RecordedFailover[]> {
    const { failovers } = await this.#status();
    return failovers.filter(({ outcome }) => outcome === "done").map(recorded);
  }

  async counters(): Promise<GatewayCounters> {
    return (await this.service()).counters;
  }

  async service(): Promise<ServiceView> {
    const { phase, requests, failovers } = await this.#status();
    const of = (outcome: FailoverEntry["outcome"]): IdentifiedFailover[] =>
      failovers
        .filter((entry) => entry.outcome === outcome)
        .map((entry) => ({ id: entry.id, failover: recorded(entry) }));
    return {
      phase,
      counters: { held: requests.held, replayed: requests.replayed },
      done: of("done"),
      running: of("running").at(-1),
    };
  }

  /** True when requests go to a primary. */
  async isServing(): Promise<boolean> {
    const { phase, routedTo } = await this.#status();
    return phase === "serving" && routedTo !== null;
  }

  /** Resolves when a planned switchover is done; throws with the reason when it is refused. */
  async switchover(signal: AbortSignal): Promise<void> {
    valueOf(await this.#client.switchover({ service: this.#service }, signal), "switchover");
  }

  async #status(): Promise<ClusterService> {
    const { services } = valueOf(await this.#client.cluster(), "status");
    const service = services.find(({ name }) => name === this.#service);
    if (service === undefined) throw new GatewayViewError(`the gateway does not know the service ${this.#service}`);
    return service;
  }
}

function valueOf<T>(answer: GatewayAnswer<T>, what: string): T {
  if (answer.kind === "ok") return answer.value;
  if (answer.kind === "refused-by-gateway")
    throw new GatewayViewError(`the gateway's ${what}: ${answer.error} (${answer.advice})`, answer.code);
  throw new GatewayViewError(`the gateway's ${what}: ${answer.kind}: ${answer.message}`);
}

function recorded({ decidedAtMs, kind, from, to, phases }: FailoverEntry): RecordedFailover {
  const times = {
    detect: phases.detect ?? 0,
    agree: phases.agree ?? 0,
    demote: phases.demote ?? 0,
    claim: phases.claim ?? 0,
    lease: phases.lease ?? 0,
    catchup: phases.catchUp ?? 0,
    start: phases.start ?? 0,
    route: phases.route ?? 0,
    wait: phases.wait ?? 0,
    retry: phases.retry ?? 0,
  };
  return { order: decidedAtMs, kind, from, to, phases: times };
}
