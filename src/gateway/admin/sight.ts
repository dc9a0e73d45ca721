/** Who sees whom, in the admin API. */
import type { SightAnswer } from "../../control/sight-api.ts";
import type { Api } from "../../control/server/api.ts";
import { seenBy } from "../peers/sight.ts";
import type { Peers } from "../peers/peers.ts";
import type { ServiceRuntime } from "../service/service.ts";

interface SightTarget {
  readonly config: { readonly id: string };
  readonly peers: Peers;
  services(): readonly ServiceRuntime[];
}

export function addSight(app: Api, target: SightTarget): void {
  app.get("/v1/sight", (c) =>
    c.json({
      services: target.services().map((service) => ({
        service: service.name,
        views: [
          { gateway: target.config.id, saidMsAgo: 0, ...seenBy(service, service.now()) },
          ...target.peers.views.seenByOthers(service.name),
        ],
      })),
    } satisfies SightAnswer),
  );
}
