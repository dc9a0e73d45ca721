/** Automation off and on, in the admin API: written for all gateways, and in force here before the answer. */
import { type CommandDone, pauseCallSchema, serviceRequestSchema } from "../../control/gateway-api.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import type { Command, PauseTerms } from "../../core/failover/state.ts";
import type { PauseOrder } from "../service/pauses.ts";
import type { ServiceRuntime } from "../service/service.ts";

export interface PauseTarget {
  /** Undefined: automation is on. */
  setPause(service: ServiceRuntime, pause: PauseOrder | undefined): PauseTerms;
}

export function addPauses(
  app: Api,
  target: PauseTarget,
  find: (service: string | undefined) => ServiceRuntime,
  order: (service: ServiceRuntime, command: Command) => Promise<CommandDone>,
): void {
  app.post("/v1/pause", jsonBody(pauseCallSchema), async (c) => {
    const { service, reason, forMs } = c.req.valid("json");
    const found = find(service);
    return c.json(await order(found, { kind: "pause", terms: target.setPause(found, { reason, forMs }) }));
  });
  app.post("/v1/resume", jsonBody(serviceRequestSchema), async (c) => {
    const found = find(c.req.valid("json").service);
    target.setPause(found, undefined);
    return c.json(await order(found, { kind: "resume" }));
  });
}
