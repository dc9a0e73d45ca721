/**
 * Control planes of several gateways in manual time, each with a wall clock of its own: real stores, registries and
 * state machines, and no host. Rows travel when the test says so, and none of a gateway that is dead.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ControlPlane } from "../../../src/gateway/control-plane.ts";
import type { ServiceRuntime } from "../../../src/gateway/service/service.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { noMetrics } from "../../../src/metrics/metrics.ts";
import type { Clock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { ManualClock } from "../http/manual-clock.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
/** Of the clocks: real stamps have years. */
const beginMs = Date.UTC(2026, 0, 1);

interface Member {
  readonly id: string;
  readonly store: StateStore;
  readonly control: ControlPlane;
  readonly service: ServiceRuntime;
}

export class ControlPlanes {
  readonly #clock = new ManualClock();
  readonly #folder = mkdtempSync(join(tmpdir(), "stead-control-"));
  readonly #members = new Map<string, Member>();
  readonly #skewMs = new Map<string, number>();

  /** `skewMs`: how far its wall clock is ahead; the same file after a restart. */
  async start(id: string, skewMs = this.#skewMs.get(id) ?? 0): Promise<Member> {
    this.#skewMs.set(id, skewMs);
    const manual = this.#clock;
    const clock: Clock = {
      now: () => manual.now(),
      wallTime: () => beginMs + manual.now() + (this.#skewMs.get(id) ?? 0),
      setTimer: (delayMs, callback) => manual.setTimer(delayMs, callback),
      sleep: (delayMs, signal) => manual.sleep(delayMs, signal),
    };
    const disk = fileDisk(join(this.#folder, `${id}.db`));
    const store = new StateStore({ disk, gateway: id, clock, random: systemRandom });
    const remembered = await store.open();
    const service = { name: "notes", match: {}, hosts: [], rejoin: "auto", firstByte: [] } as const;
    const config = {
      ...{ id, adminUrl: `http://${id}:1`, peers: [], services: [service], drainTimeoutMs: 0 },
      cluster: { name: "stead", acceptBearer: false },
      probe: { intervalMs: 200, timeoutMs: 200, fall: 2, rise: 2 },
    };
    const control = new ControlPlane({
      ...{ clock, log: silent, metrics: noMetrics, store, remembered, startedAtMs: clock.wallTime() },
      config: () => config,
      plane: { route: () => noRoute, reconfigure: () => undefined },
      control: () => {
        throw new Error("there is no host");
      },
      transport: () => ({
        sync: () => Promise.resolve({ kind: "failed", why: "rows travel when the test says so" }),
        close: () => undefined,
      }),
    });
    const [runtime] = control.services();
    if (runtime === undefined) throw new Error("the service is missing");
    const member = { id, store, control, service: runtime };
    this.#members.set(id, member);
    return member;
  }

  /** Its timers end with it, and its file stays. */
  async kill(id: string): Promise<void> {
    const member = this.at(id);
    this.#members.delete(id);
    await member.control.close();
    await member.store.close();
  }

  /** A wall clock is corrected. */
  setClock(id: string, skewMs: number): void {
    this.#skewMs.set(id, skewMs);
  }

  at(id: string): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`${id} does not run`);
    return member;
  }

  exchange(): void {
    for (const from of this.#members.values())
      for (const to of this.#members.values())
        if (from !== to) to.store.applied(to.store.replica.merge([...from.store.replica.rows()]));
  }

  pass(ms: number): void {
    this.#clock.advance(ms);
    this.exchange();
  }

  async stop(): Promise<void> {
    for (const id of [...this.#members.keys()]) await this.kill(id);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const noRoute = {
  host: undefined,
  waiting: { requests: 0, bytes: 0 },
  route: () => undefined,
  heard: () => undefined,
  doubt: () => undefined,
  holdRequests: () => undefined,
  abortHost: () => undefined,
  waitForPort: () => undefined,
  maintain: () => undefined,
  close: () => undefined,
};
