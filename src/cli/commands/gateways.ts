/** `stead gateways list|remove`: the gateways of the cluster. */
import { buildCommand } from "@stricli/core";
import type { GatewayList } from "../../control/gateway-api.ts";
import type { CliContext } from "../output/context.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import { formatLine, screenOf } from "../output/wrap-text.ts";
import { formatTable } from "../output/table.ts";

interface GatewaysFlags extends ConnectionFlags {
  readonly json: boolean;
}

const shared = { ...connectionFlags, ...jsonFlag } as const;

export const gatewaysListCommand = buildCommand<GatewaysFlags, [], CliContext>({
  docs: {
    brief: "List the registered gateways, and when the asked gateway last heard each",
    fullDescription: "EXAMPLES\n  stead gateways list\n  stead gateways list --json",
  },
  parameters: { flags: shared },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    show(this, flags.json, requireAnswer(await client.gateways(this.signal), url));
  },
});

export const gatewaysRemoveCommand = buildCommand<GatewaysFlags, [gateway: string], CliContext>({
  docs: {
    brief: "Remove a gateway from the cluster",
    fullDescription: [
      "It no longer counts for a majority, and its messages are refused. Stop it before or afterwards; if it is started again, it rejoins.",
      "A gateway cannot remove itself: ask another one.",
      "Exits with 0 once it is gone, with 5 if it was refused, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead gateways remove g3",
      "  stead gateways remove g3 --gateway http://10.0.0.2:7700",
    ].join("\n"),
  },
  parameters: {
    flags: shared,
    positional: { kind: "tuple", parameters: [{ brief: "Id of the gateway", placeholder: "gateway", parse: String }] },
  },
  async func(flags, gateway) {
    const { client, url } = connectToGateway(this, flags);
    show(this, flags.json, requireAnswer(await client.removeGateway(gateway, this.signal), url));
  },
});

function show(context: CliContext, json: boolean, list: GatewayList): void {
  context.process.stdout.write(
    json ? `${JSON.stringify(list)}\n` : formatGateways(list, context.process.stdout.columns),
  );
}

function majorityLine(registered: number): string {
  if (registered === 1) return "this gateway decides alone whether a primary is down";
  return `${Math.floor(registered / 2) + 1} of ${registered} gateways must see a primary down before it is replaced`;
}

export function formatGateways(list: GatewayList, width?: number): string {
  const columns = [
    { title: "GATEWAY" },
    { title: "ADMIN" },
    { title: "HEARD", align: "right" as const },
    { title: "WARNING" },
  ];
  const heard = (ms: number | null): string => (ms === null ? "never" : `${(ms / 1000).toFixed(1)}s ago`);
  const rows = list.gateways.map(({ id, adminUrl, self, heardMsAgo, trouble }) => [
    id,
    adminUrl,
    self ? "(this one)" : heard(heardMsAgo),
    trouble ?? "",
  ]);
  const warnings = list.troubles.map((text) => formatLine(`! ${text}`, screenOf(width))).join("");
  return `${formatTable(columns, rows, width)}${formatLine(majorityLine(list.registered), screenOf(width))}${warnings}`;
}
