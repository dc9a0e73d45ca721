/**
 * The last hour of each service and host, as this gateway saw it: a bounded ring of samples in memory, from the same
 * answer as `stead status`. A gateway that starts again, or is upgraded, begins with none.
 *
 * A sample is the worst that a look every second has found in its time, so that a lease that was missed for a moment
 * does not fall between two samples. What a host that is down said last is no sample.
 */
import type { ClusterHost, ClusterService } from "../control/gateway-api.ts";
import { sampleEveryMs, type SamplesAnswer, samplesMax } from "../control/samples-api.ts";
import { withNulls } from "../control/nulls.ts";
import type { Clock, Timer } from "../runtime/clock.ts";

export const lookEveryMs = 1_000;
const looksPerSample = sampleEveryMs / lookEveryMs;

/** The worst of both; undefined: nothing is known. */
type Worst = (a: number, b: number) => number;

class Series {
  readonly #worst: Worst;
  #open: number | undefined;
  #samples: (number | undefined)[] = [];

  constructor(worst: Worst) {
    this.#worst = worst;
  }

  get samples(): readonly (number | undefined)[] {
    return this.#samples;
  }

  look(value: number | undefined): void {
    if (value === undefined) return;
    this.#open = this.#open === undefined ? value : this.#worst(this.#open, value);
  }

  /** Ends the sample that is open. */
  close(): void {
    this.#samples.push(this.#open === undefined ? undefined : rounded(this.#open));
    if (this.#samples.length > samplesMax) this.#samples.shift();
    this.#open = undefined;
  }
}

/** To a tenth, so that an answer with an hour of every host stays short. */
const rounded = (value: number): number => Math.round(value * 10) / 10;

class HostSeries {
  readonly lag = new Series(Math.max);
  readonly leaseLeftMs = new Series(Math.min);
  readonly vaultMs = new Series(Math.max);

  look({ health, lag, lease, vault }: ClusterHost): void {
    if (health === "down") return;
    this.lag.look(lag ?? undefined);
    const age = lease?.lastRecordAgeMs ?? undefined;
    this.leaseLeftMs.look(lease === null || age === undefined ? undefined : lease.ms - age);
    this.vaultMs.look(vault?.latencyMs ?? undefined);
  }

  close(): void {
    for (const series of [this.lag, this.leaseLeftMs, this.vaultMs]) series.close();
  }
}

class ServiceSeries {
  readonly held = new Series(Math.max);
  readonly hosts = new Map<string, HostSeries>();

  look({ waiting, hosts }: ClusterService): void {
    this.held.look(waiting.requests);
    const present = new Set(hosts.map(({ id }) => id));
    for (const id of this.hosts.keys()) if (!present.has(id)) this.hosts.delete(id);
    for (const host of hosts) entryOf(this.hosts, host.id, () => new HostSeries()).look(host);
  }

  close(): void {
    this.held.close();
    for (const host of this.hosts.values()) host.close();
  }
}

export interface StateSamplesOptions {
  readonly clock: Pick<Clock, "setTimer">;
  /** As in the status. */
  readonly services: () => readonly ClusterService[];
}

export class StateSamples {
  readonly #options: StateSamplesOptions;
  readonly #services = new Map<string, ServiceSeries>();
  #timer: Timer | undefined;
  #looks = 0;

  constructor(options: StateSamplesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#options.clock.setTimer(lookEveryMs, () => {
      this.#look();
      this.start();
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Of a service without a look yet: none. */
  of(service: string): SamplesAnswer {
    const found = this.#services.get(service);
    return withNulls({
      ...{ service, everyMs: sampleEveryMs, taken: Math.floor(this.#looks / looksPerSample) },
      held: [...(found?.held.samples ?? [])],
      hosts: [...(found?.hosts ?? [])].map(([host, { lag, leaseLeftMs, vaultMs }]) => ({
        ...{ host, lag: [...lag.samples], leaseLeftMs: [...leaseLeftMs.samples], vaultMs: [...vaultMs.samples] },
      })),
    });
  }

  #look(): void {
    const services = this.#options.services();
    const present = new Set(services.map(({ name }) => name));
    for (const name of this.#services.keys()) if (!present.has(name)) this.#services.delete(name);
    for (const service of services) entryOf(this.#services, service.name, () => new ServiceSeries()).look(service);
    this.#looks += 1;
    if (this.#looks % looksPerSample === 0) for (const service of this.#services.values()) service.close();
  }
}

function entryOf<T>(entries: Map<string, T>, key: string, make: () => T): T {
  const found = entries.get(key) ?? make();
  entries.set(key, found);
  return found;
}
