/** What this gateway sees of the hosts and of other gateways: for its peers and for people. Nothing decides on it. */
import type { Seen } from "../../control/sight-api.ts";
import { withNulls } from "../../control/nulls.ts";
import type { ServiceRuntime } from "../service/service.ts";

export function seenBy(service: ServiceRuntime, now: number): Seen {
  const { hosts, peers } = service.state;
  return {
    hosts: [...hosts.values()].map(({ id, health, reportAt }) =>
      withNulls({
        host: id,
        health: health.kind,
        latencyMs: service.monitorOf(id)?.latencyMs,
        ageMs: Number.isFinite(reportAt) ? Math.max(0, Math.round(now - reportAt)) : undefined,
      }),
    ),
    gateways: [...peers.values()].map(({ gateway, at }) => ({ gateway, ageMs: Math.max(0, Math.round(now - at)) })),
  };
}
