/** This gateway's views of each service's primary, for its peers; and the peers' views, for the state machines. */
import type { Seen, SightAnswer } from "../../control/sight-api.ts";
import type { PeerViewMessage } from "../../control/peer-api.ts";
import { viewForPeers } from "../../core/failover/primary-status.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { withNulls, withoutNulls } from "../../control/nulls.ts";
import { seenBy } from "./sight.ts";

type View = Omit<PeerViewMessage, "forMs" | "seen">;

interface Told {
  readonly at: number;
  readonly seen: Seen;
}

function viewOf(service: ServiceRuntime, now: number): View {
  const { primary: known } = service.state;
  // Hearsay is not passed on: two gateways would confirm it to each other without end (core/failover/proof.ts).
  const primary = known?.unproven === undefined ? known : undefined;
  return {
    service: service.name,
    primary: primary?.host ?? null,
    epoch: primary?.epoch ?? 0,
    sees: viewForPeers(service.state, now),
    heard: withNulls(service.state.heard),
  };
}

/** The position changes with every record: it is sent along and is no news by itself. */
const isSame = (a: View, b: View): boolean => a.primary === b.primary && a.epoch === b.epoch && a.sees === b.sees;

export class Views {
  readonly #services: () => readonly ServiceRuntime[];
  readonly #since = new Map<string, { readonly view: View; readonly at: number }>();

  /** By service and gateway. */
  readonly #told = new Map<string, Map<string, Told>>();

  constructor(services: () => readonly ServiceRuntime[]) {
    this.#services = services;
  }

  now(): PeerViewMessage[] {
    return this.#services().map((service) => {
      const now = service.now();
      const view = viewOf(service, now);
      const before = this.#since.get(service.name);
      const since = before !== undefined && isSame(before.view, view) ? before.at : now;
      this.#since.set(service.name, { view, at: since });
      return { ...view, forMs: now - since, seen: seenBy(service, now) };
    });
  }

  /** True if something changed since the last query of `now`. */
  changed(service: ServiceRuntime): boolean {
    const before = this.#since.get(service.name)?.view;
    return before === undefined || !isSame(before, viewOf(service, service.now()));
  }

  heard(gateway: string, views: readonly PeerViewMessage[]): void {
    for (const { service, primary, epoch, sees, heard, seen } of views) {
      const runtime = this.#services().find(({ name }) => name === service);
      if (runtime !== undefined && seen !== null) this.#tell(gateway, service, { at: runtime.now(), seen });
      runtime?.send({
        kind: "peer-view",
        view: { gateway, at: runtime.now(), epoch, sees },
        ...withoutNulls({ primary, heard }),
      });
    }
  }

  /** Returns what the gateways that count have told of a service, in the order of their ids. */
  seenByOthers(service: string): SightAnswer["services"][number]["views"] {
    const runtime = this.#services().find(({ name }) => name === service);
    if (runtime === undefined) return [];
    const counted = new Set(runtime.state.gateways);
    return [...(this.#told.get(service) ?? [])]
      .filter(([gateway]) => counted.has(gateway))
      .map(([gateway, { at, seen }]) => ({ gateway, saidMsAgo: Math.max(0, runtime.now() - at), ...seen }))
      .sort((a, b) => (a.gateway < b.gateway ? -1 : 1));
  }

  #tell(gateway: string, service: string, told: Told): void {
    const known = this.#told.get(service) ?? new Map<string, Told>();
    known.set(gateway, told);
    this.#told.set(service, known);
  }
}
