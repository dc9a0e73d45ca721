/** The databases of a service in the admin API: the list, and what an operator excludes or includes. */
import { type DatabaseAct, databaseActs, type DatabaseChange, type DatabaseList } from "../../control/databases.ts";
import { databaseRequestSchema, type DatabasesAnswer, serviceRequestSchema } from "../../control/gateway-api.ts";
import type { HostAnswer } from "../../control/host-client.ts";
import type { HostControl } from "../../control/host-control.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { askHost } from "./ask-host.ts";

export function addDatabases(app: Api, find: (service: string | undefined) => ServiceRuntime): void {
  app.post("/v1/databases/list", jsonBody(serviceRequestSchema), async (c) => {
    const { service } = c.req.valid("json");
    return c.json(await askAboutDatabases(find(service), (client) => client.databases?.()));
  });
  for (const act of databaseActs) {
    app.post(`/v1/databases/${act}`, jsonBody(databaseRequestSchema), async (c) => {
      const { service, ...change } = c.req.valid("json");
      return c.json(await changeDatabase(find(service), act, change));
    });
  }
}

type DatabaseCall = (client: HostControl) => Promise<HostAnswer<DatabaseList>> | undefined;

/**
 * Asks the primary, or without one the first host that answers: an exclusion is in the vault and applies to all hosts.
 */
function askAboutDatabases(service: ServiceRuntime, call: DatabaseCall): Promise<DatabasesAnswer> {
  const primary = service.state.primary?.host;
  const mustBePrimary = primary !== undefined && service.state.phase.kind === "serving";
  const others = [...service.state.hosts.keys()].filter((host) => host !== primary);
  const hosts = [...(primary === undefined ? [] : [primary]), ...(mustBePrimary ? [] : others)];
  return askHost(service, { hosts, call, see: "stead databases" });
}

async function changeDatabase(
  service: ServiceRuntime,
  act: DatabaseAct,
  change: DatabaseChange,
): Promise<DatabasesAnswer> {
  const answer = await askAboutDatabases(service, (client) => client.changeDatabase?.(act, change));
  // A host that is about to become primary has already read the list, perhaps before this change.
  const others = [...service.state.hosts.keys()].filter((host) => host !== answer.host);
  await Promise.all(others.map(async (host) => service.clientOf(host)?.changeDatabase?.(act, change)));
  service.recorder.recordEvent(
    act === "exclude" ? "warning" : "info",
    `database-${act}d`,
    answer.host,
    `${change.name}, by an operator${change.force === true ? ", although it was captured" : ""}`,
  );
  return answer;
}
