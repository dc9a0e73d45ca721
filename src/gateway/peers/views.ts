/** What this gateway sees of each service's primary, as it tells its peers; and what they say, as the state machines take it. */
import type { PeerViewMessage } from "../../control/peer-api.ts";
import { viewForPeers } from "../../core/failover-relation.ts";
import type { ServiceRuntime } from "../service.ts";

export class Views {
  readonly #services: () => readonly ServiceRuntime[];
  readonly #since = new Map<string, { readonly view: string; readonly at: number }>();

  constructor(services: () => readonly ServiceRuntime[]) {
    this.#services = services;
  }

  now(): PeerViewMessage[] {
    return this.#services().map((service) => {
      const { primary } = service.state;
      const now = service.now();
      const view = { service: service.name, primary: primary?.host ?? null, epoch: primary?.epoch ?? 0, sees: viewForPeers(service.state, now) };
      const text = JSON.stringify(view);
      const before = this.#since.get(service.name);
      const since = before?.view === text ? before.at : now;
      this.#since.set(service.name, { view: text, at: since });
      return { ...view, forMs: now - since };
    });
  }

  /** True when something changed since `now` was last asked. */
  changed(service: ServiceRuntime): boolean {
    const before = this.#since.get(service.name)?.view;
    const { primary } = service.state;
    const view = { service: service.name, primary: primary?.host ?? null, epoch: primary?.epoch ?? 0, sees: viewForPeers(service.state, service.now()) };
    return JSON.stringify(view) !== before;
  }

  heard(gateway: string, views: readonly PeerViewMessage[]): void {
    for (const { service, primary, epoch, sees } of views) {
      const runtime = this.#services().find(({ name }) => name === service);
      runtime?.send({ kind: "peer-view", view: { gateway, at: runtime.now(), epoch, sees }, primary });
    }
  }
}
