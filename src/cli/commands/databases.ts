/**
 * `stead databases [list|exclude|include]`: the condition of each database of a service, and excluding one from
 * capture.
 */
import { buildCommand, buildRouteMap } from "@stricli/core";
import type { DatabaseAct } from "../../control/databases.ts";
import type { DatabasesAnswer } from "../../control/gateway-api.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";
import { formatLine, lineWidth, screenOf } from "../output/wrap-text.ts";
import { formatTable } from "../output/table.ts";

interface DatabasesFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

const shared = { ...connectionFlags, ...serviceFlag, ...jsonFlag } as const;
const nameParameter = {
  brief: "Path below the data folder, as `stead databases` shows it",
  placeholder: "name",
  parse: String,
} as const;

const listCommand = buildCommand<DatabasesFlags, [], CliContext>({
  docs: {
    brief: "List the databases of a service and their condition",
    fullDescription: [
      "Shows the primary's databases, or a secondary's if no host serves. Databases that cannot be captured (`held`), files that match a",
      "pattern but are no database (`left-out`) and excluded ones come first, with what was found and what to do.",
      "",
      "EXAMPLES",
      "  stead databases",
      "  stead databases list --json",
    ].join("\n"),
  },
  parameters: { flags: shared },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    show(this, flags.json, requireAnswer(await client.databases(serviceOf(flags), this.signal), url));
  },
});

const excludeCommand = buildCommand<DatabasesFlags & { readonly force: boolean }, [name: string], CliContext>({
  docs: {
    brief: "Stop capturing a database, and release the responses that wait for it",
    fullDescription: [
      'For a database that cannot be captured: with `host.uncaptured = "hold"` every response of the service waits for it. Writes to it',
      "from now on are on its host's disk only, and are missing after a failover. The exclusion holds on every host until the",
      "database is included again. --force also excludes a captured database: it is removed from the journal and from the other hosts.",
      "Exits with 0 once it is excluded, with 5 if it was refused, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead databases exclude tenants/broken.db",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...shared,
      force: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Also exclude a captured database, or a name that does not exist",
      },
    },
    positional: { kind: "tuple", parameters: [nameParameter] },
  },
  func(flags, name) {
    return change(this, "exclude", flags, { name, force: flags.force });
  },
});

const includeCommand = buildCommand<DatabasesFlags, [name: string], CliContext>({
  docs: {
    brief: "Capture an excluded database again",
    fullDescription: [
      "The primary captures it completely before it answers anything else; copies of that name on other hosts are replaced.",
      "Exits with 0 once it is no longer excluded, with 5 if it was refused, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead databases include tenants/broken.db",
    ].join("\n"),
  },
  parameters: { flags: shared, positional: { kind: "tuple", parameters: [nameParameter] } },
  func(flags, name) {
    return change(this, "include", flags, { name });
  },
});

export const databasesRoutes = buildRouteMap({
  routes: { list: listCommand, exclude: excludeCommand, include: includeCommand },
  defaultCommand: "list",
  docs: { brief: "List the databases of a service, exclude one from capture, and include it again" },
});

const serviceOf = ({ service }: DatabasesFlags): { service?: string } => (service === undefined ? {} : { service });

async function change(
  context: CliContext,
  act: DatabaseAct,
  flags: DatabasesFlags,
  request: { readonly name: string; readonly force?: boolean },
): Promise<void> {
  const { client, url } = connectToGateway(context, flags);
  show(
    context,
    flags.json,
    requireAnswer(await client.changeDatabase(act, { ...serviceOf(flags), ...request }, context.signal), url),
  );
}

function show(context: CliContext, json: boolean, answer: DatabasesAnswer): void {
  context.process.stdout.write(
    json ? `${JSON.stringify(answer)}\n` : formatDatabases(answer, context.process.stdout.columns),
  );
}

export function formatDatabases({ service, host, total, databases }: DatabasesAnswer, terminal?: number): string {
  const head = `service ${service}, on ${host}: ${total} database${total === 1 ? "" : "s"}`;
  const columns = [
    { title: "NAME" },
    { title: "CONDITION" },
    { title: "FOR", align: "right" as const },
    { title: "FOUND, AND WHAT TO DO" },
  ];
  const rows = databases.map(({ name, condition, forMs, reason, advice }) => [
    name,
    condition,
    forMs === null ? "" : `${Math.round(forMs / 1000)} s`,
    joinSentences(reason, advice),
  ]);
  const line = formatLine(head, screenOf(terminal));
  return total === 0 ? line : line + formatTable(columns, rows, terminal ?? lineWidth);
}

function joinSentences(...texts: readonly (string | null)[]): string {
  return texts.flatMap((text) => (text === null ? [] : [/[.!?]$/.test(text) ? text : `${text}.`])).join(" ");
}
