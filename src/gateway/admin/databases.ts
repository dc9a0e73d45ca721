/** The databases of a service in the admin API: the list, and what an operator excludes or includes. */
import { type DatabaseAct, databaseActs, type DatabaseChange, type DatabaseList } from "../../control/databases.ts";
import { databaseRequestSchema, type DatabasesAnswer, serviceRequestSchema } from "../../control/gateway-api.ts";
import type { HostAnswer } from "../../control/host-client.ts";
import type { HostControl } from "../../control/host-control.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import { describeRefusal } from "../../core/refusal.ts";
import type { ServiceRuntime } from "../service/service.ts";

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
async function askAboutDatabases(service: ServiceRuntime, call: DatabaseCall): Promise<DatabasesAnswer> {
  const primary = service.state.primary?.host;
  const mustBePrimary = primary !== undefined && service.state.phase.kind === "serving";
  const others = [...service.state.hosts.keys()].filter((host) => host !== primary);
  let why = "there is no host";
  for (const host of [...(primary === undefined ? [] : [primary]), ...(mustBePrimary ? [] : others)]) {
    const client = service.clientOf(host);
    const answer = client === undefined ? undefined : await call(client);
    if (answer?.kind === "ok") return { service: service.name, host, ...answer.value };
    if (answer?.kind === "refused-by-host")
      throw new ApiRefusal("refused-by-host", {
        found: `${host}: ${describeRefusal(answer.refusal)}`,
        advice: "see `stead databases`",
      });
    why = `${host}: ${answer?.message ?? "a plain host captures nothing"}`;
  }
  throw new ApiRefusal("no-answer", {
    found: `no host that could tell answered (${why})`,
    advice: "try again when `stead status` shows the primary as up; hosts of an older version do not support it",
  });
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
