/** What the vault of a service can be restored to, in the admin API: a host reads it. */
import type { RestorePointsAnswer } from "../../control/restore-points.ts";
import type { Api } from "../../control/server/api.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { askHost } from "./ask-host.ts";

export function addRestorePoints(app: Api, find: (service: string) => ServiceRuntime): void {
  app.get("/v1/restore-points/:service", async (c) => {
    const service = find(c.req.param("service"));
    const answer: RestorePointsAnswer = await askHost(service, {
      hosts: hostsToAsk(service),
      call: (client) => client.restorePoints?.(),
      see: "stead status",
    });
    return c.json(answer);
  });
}

/** None that is down: all see the same vault. The primary last, so that it has nothing to read beside its work. */
function hostsToAsk({ state }: ServiceRuntime): readonly string[] {
  const up = [...state.hosts.values()].filter(({ health }) => health.kind !== "down").map(({ id }) => id);
  const primary = state.primary?.host;
  return up.toSorted((a, b) => Number(a === primary) - Number(b === primary));
}
