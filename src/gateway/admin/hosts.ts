/** Hosts in the admin API: registered, changed, drained and removed while the gateways run. */
import {
  addHostRequestSchema,
  type CommandDone,
  type HostChange,
  hostChangeSchema,
  type HostList,
} from "../../control/gateway-api.ts";
import { withoutNulls } from "../../control/nulls.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { commandTimeoutMs, entryOf } from "./order.ts";

export interface HostsTarget {
  hostList(): HostList;
  addHost(host: {
    service: string;
    id: string;
    controlUrl: string;
    priority: number | undefined;
    nofailover: boolean | undefined;
  }): void;
  /** False: there is no such host. */
  changeHost(service: string, host: string, change: HostChange): boolean;
  /** False: there is no such host. */
  removeHost(service: string, host: string): boolean;
}

export function addHosts(app: Api, target: HostsTarget, find: (service: string | undefined) => ServiceRuntime): void {
  app.get("/v1/hosts", (c) => c.json(target.hostList()));
  app.post("/v1/hosts", jsonBody(addHostRequestSchema), async (c) => {
    const { service, ...host } = c.req.valid("json");
    const { name, recorder } = find(service);
    target.addHost({ ...withoutNulls(host), service: name });
    recorder.recordEvent("info", "host-added", host.id, `by an operator, at ${host.controlUrl}`);
    return c.json(target.hostList());
  });
  app.patch("/v1/hosts/:service/:host", jsonBody(hostChangeSchema), async (c) => {
    const service = find(c.req.param("service"));
    const change = c.req.valid("json");
    if (!target.changeHost(service.name, c.req.param("host"), change)) throw unknownHost(c.req.param("host"));
    service.recorder.recordEvent("info", "host-changed", c.req.param("host"), `by an operator: ${inWords(change)}`);
    return c.json(target.hostList());
  });
  app.post("/v1/hosts/:service/:host/drain", async (c) => {
    const service = find(c.req.param("service"));
    return c.json(await drain(target, service, c.req.param("host")));
  });
  app.delete("/v1/hosts/:service/:host", (c) => {
    const service = find(c.req.param("service"));
    const host = c.req.param("host");
    const isPrimary = service.state.primary?.host === host && service.state.phase.kind === "serving";
    if (isPrimary)
      throw new ApiRefusal("conflict", { found: `${host} is primary`, advice: "`stead switchover` first" });
    if (!target.removeHost(service.name, host)) throw unknownHost(host);
    service.recorder.recordEvent("info", "host-removed", host, "by an operator");
    return c.json(target.hostList());
  });
}

const inWords = (change: HostChange): string =>
  Object.entries(change)
    .map(
      ([key, value]) =>
        `${key} ${value === null ? "as the host says" : value === true ? "yes" : value === false ? "no" : value}`,
    )
    .join(", ");

export const unknownHost = (host: string): ApiRefusal =>
  new ApiRefusal("unknown-host", { found: `there is no host "${host}"`, advice: "see `stead hosts list`" });

/**
 * First excludes the host as a candidate, then moves away from it: in the other order it could be chosen again at once.
 */
async function drain(target: HostsTarget, service: ServiceRuntime, host: string): Promise<CommandDone> {
  if (!target.changeHost(service.name, host, { nofailover: true })) throw unknownHost(host);
  service.recorder.recordEvent("info", "host-drained", host, "by an operator: no candidate any more");
  const { primary } = service.state;
  if (primary?.host !== host)
    return {
      service: service.name,
      primary: primary?.host ?? null,
      epoch: primary?.epoch ?? 0,
      failover: null,
      mayLose: null,
    };
  const outcome = await service.command(
    { kind: "switchover", target: undefined },
    AbortSignal.timeout(commandTimeoutMs),
  );
  if (outcome.kind === "refused") {
    throw new ApiRefusal(outcome.code, {
      found: `${host} is no candidate any more, but still primary: ${outcome.why}`,
      advice: `${outcome.advice}; then drain it again`,
    });
  }
  return {
    service: service.name,
    primary: outcome.primary ?? null,
    epoch: outcome.epoch,
    failover: entryOf(service, outcome.failover),
    mayLose: null,
  };
}
