/** The page before an API that tells of a large cluster: 50 hosts, 10 gateways, and all failovers that a status has. */
import type { Hono } from "hono";
import { createPage } from "../../../src/gateway/page/page.tsx";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { clusterStatus, failoverEntry, host, service } from "./status.ts";

export const largeToken = `stead_${"0".repeat(16)}_${"x".repeat(43)}`;

const failovers = Array.from({ length: 100 }, (_, index) =>
  failoverEntry({
    ...{ id: `g1.notes.1.${index}`, decidedAtMs: 1_700_000_000_000 + index * 3_600_000 },
    phases: { detect: 80 + (index % 7) * 30, start: 150 + (index % 11) * 60 },
  }),
);

/** One change per look: the position of the primary. */
export function largePage(): Hono {
  let position = 1_000;
  return createPage({
    ...{ gateway: "g1", isSecure: false, clock: systemClock, random: systemRandom },
    holderOf: (token) =>
      token === largeToken ? { kind: "token", id: "1", name: "night-shift", role: "operator" } : undefined,
    api(request) {
      position += 17;
      const hosts = Array.from({ length: 50 }, (_, index) =>
        host({
          ...{ id: `host-${index}`, role: index === 0 ? "primary" : "secondary", position, lag: index % 3 },
          ...(index % 9 === 4 ? { health: "down", reason: "its address refuses connections" } : {}),
        }),
      );
      const gateways = Array.from({ length: 10 }, (_, index) => ({
        ...{ id: `g${index + 1}`, adminUrl: `http://10.0.0.${index}:7700`, self: index === 0, heardMsAgo: 40 },
        trouble: index === 7 ? "connection refused" : null,
      }));
      const notes = service({ primary: "host-0", routedTo: "host-0", hosts, failovers });
      const isStatus = new URL(request.url).pathname === "/v1/cluster";
      return Response.json(isStatus ? clusterStatus({ gateways, services: [notes] }) : {});
    },
  });
}
