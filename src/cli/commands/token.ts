/** `stead token add|list|revoke`: credentials with a role, for people and programs. */
import { ordererInWords } from "../../control/orderer.ts";
import { buildCommand, buildRouteMap } from "@stricli/core";
import { durationAccepted, parseDuration } from "../../config/units.ts";
import { tokenValidMsMax, type TokenEntry, type TokenList } from "../../control/gateway-api.ts";
import { isTokenRole, type TokenRole, tokenRoles } from "../../control/token.ts";
import type { CliContext } from "../output/context.ts";
import { formatTable } from "../output/table.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  type ConnectionFlags,
} from "./gateway-connection.ts";

interface TokenFlags extends ConnectionFlags {
  readonly json: boolean;
}

interface AddFlags extends TokenFlags {
  readonly role: TokenRole;
  readonly valid: number | null;
}

const shared = { ...connectionFlags, ...jsonFlag } as const;

const addCommand = buildCommand<AddFlags, [name: string], CliContext>({
  docs: {
    brief: "Make a token with a role, and print it once",
    fullDescription: [
      "A token is used instead of the cluster secret: in STEAD_TOKEN or --token-file, as `authToken` of libSQL clients, and",
      "as bearer token of a scraper. viewer: status, SQL, metrics. operator: also switchover, failover, pause, drain, checkpoint,",
      "rehearse. admin: also hosts, gateways, databases, tokens. Gateways keep its hash only: a lost one is replaced by another.",
      "Exits with 0 once it is made, with 5 if it was refused, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead token add grafana --role viewer --valid 365d",
      "  stead token add night-shift --role operator --valid unlimited > night-shift.token",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...shared,
      role: { kind: "parsed", parse: parseRole, placeholder: "role", brief: tokenRoles.join(", ") },
      valid: {
        kind: "parsed",
        parse: parseValid,
        placeholder: "duration|unlimited",
        brief: "How long, for example 30d",
      },
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Its name in lists and in the audit", placeholder: "name", parse: String }],
    },
  },
  async func(flags, name) {
    const { client, url } = connectToGateway(this, flags);
    const request = { name, role: flags.role, validMs: flags.valid };
    const added = requireAnswer(await client.addToken(request, this.signal), url);
    this.process.stdout.write(flags.json ? `${JSON.stringify(added)}\n` : `${added.token}\n`);
    if (!flags.json)
      this.process.stderr.write(
        `stead: token ${name}, ${flags.role}, ${untilOf(added.entry)}; it is not shown again\n`,
      );
  },
});

const listCommand = buildCommand<TokenFlags, [], CliContext>({
  docs: {
    brief: "List the valid tokens",
    fullDescription: "EXAMPLES\n  stead token list\n  stead token list --json",
  },
  parameters: { flags: shared },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    show(this, flags.json, requireAnswer(await client.tokens(this.signal), url));
  },
});

const revokeCommand = buildCommand<TokenFlags, [token: string], CliContext>({
  docs: {
    brief: "Revoke a token, by its name or id",
    fullDescription: [
      "The asked gateway refuses it at once, the others as soon as they hear of it; one that cannot be reached by its peers",
      "accepts it until it can, or until it expires.",
      "Exits with 0 once it is revoked, with 5 if there is no such token, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead token revoke night-shift",
    ].join("\n"),
  },
  parameters: {
    flags: shared,
    positional: { kind: "tuple", parameters: [{ brief: "Its name or id", placeholder: "token", parse: String }] },
  },
  async func(flags, token) {
    const { client, url } = connectToGateway(this, flags);
    show(this, flags.json, requireAnswer(await client.revokeToken(token, this.signal), url));
  },
});

export const tokenRoutes = buildRouteMap({
  routes: { add: addCommand, list: listCommand, revoke: revokeCommand },
  docs: { brief: "Make, list and revoke tokens with a role" },
});

function show(context: CliContext, json: boolean, list: TokenList): void {
  context.process.stdout.write(json ? `${JSON.stringify(list)}\n` : formatTokens(list, context.process.stdout.columns));
}

export function formatTokens({ tokens }: TokenList, width?: number): string {
  const columns = ["NAME", "ROLE", "VALID", "MADE", "BY", "ID"].map((title) => ({ title }));
  const rows = tokens.map((entry) => [
    entry.name,
    entry.role,
    untilOf(entry),
    new Date(entry.createdAtMs).toISOString(),
    ordererInWords(entry.createdBy),
    entry.id,
  ]);
  return formatTable(columns, rows, width);
}

const untilOf = ({ expiresAtMs }: TokenEntry): string =>
  expiresAtMs === null ? "until it is revoked" : `until ${new Date(expiresAtMs).toISOString()}`;

function parseRole(text: string): TokenRole {
  if (isTokenRole(text)) return text;
  throw new Error(`"${text}" is not a role: ${tokenRoles.join(", ")} are accepted`);
}

function parseValid(text: string): number | null {
  if (text === "unlimited") return null;
  const parsed = parseDuration(text);
  if (parsed.kind === "ok" && parsed.value >= 1_000 && parsed.value <= tokenValidMsMax) return parsed.value;
  throw new Error(
    `"${text}" is not how long a token can be valid: 1s to 3660d, or "unlimited", is accepted (${durationAccepted})`,
  );
}
