/** `stead hosts add|remove|list`: the registry of hosts, changed at run time. */
import { buildCommand } from "@stricli/core";
import type { HostList } from "../control/gateway-api.ts";
import { connect, connectionFlags, jsonFlag, parseUrl, requireAnswer, serviceFlag, type ConnectionFlags } from "./gateway-connection.ts";
import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { formatTable } from "./table.ts";

interface HostsFlags extends ConnectionFlags {
  readonly json: boolean;
}

interface AddFlags extends HostsFlags {
  readonly service: string | undefined;
  readonly priority: number | undefined;
  readonly nofailover: boolean;
}

const shared = { ...connectionFlags, ...jsonFlag } as const;
const hostParameter = { brief: "Id of the host", placeholder: "host", parse: String } as const;

export const hostsListCommand = buildCommand<HostsFlags, [], CliContext>({
  docs: { brief: "List the registered hosts", fullDescription: "EXAMPLES\n  stead hosts list\n  stead hosts list --json" },
  parameters: { flags: shared },
  async func(flags) {
    const { client, url } = connect(this, flags);
    show(this, flags.json, requireAnswer(await client.hosts(this.signal), url));
  },
});

export const hostsAddCommand = buildCommand<AddFlags, [host: string, control: string], CliContext>({
  docs: {
    brief: "Register a host, or change what is registered of it",
    fullDescription: [
      "The gateway watches it at once. What is added here wins over the configuration file, also after a restart.",
      "Ends with 0 when it is registered, with 5 when it was refused, with 6 when the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead hosts add app4 http://10.0.0.14:7800",
      "  stead hosts add app4 http://10.0.0.14:7800 --priority 5",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...shared,
      ...serviceFlag,
      priority: { kind: "parsed", parse: wholeNumber, optional: true, placeholder: "number", brief: "Higher is preferred (the host's own word when left out)" },
      nofailover: { kind: "boolean", default: false, withNegated: false, brief: "Never promote it by automation" },
    },
    positional: { kind: "tuple", parameters: [hostParameter, { brief: "Its control address", placeholder: "url", parse: parseUrl }] },
  },
  async func(flags, id, controlUrl) {
    const { client, url } = connect(this, flags);
    const request = {
      id,
      controlUrl,
      priority: flags.priority ?? null,
      nofailover: flags.nofailover ? true : null,
      ...(flags.service === undefined ? {} : { service: flags.service }),
    };
    show(this, flags.json, requireAnswer(await client.addHost(request, this.signal), url));
  },
});

export const hostsRemoveCommand = buildCommand<HostsFlags & { readonly service: string | undefined }, [host: string], CliContext>({
  docs: {
    brief: "Take a host out of the registry",
    fullDescription: [
      "It is not watched and not promoted any more. A primary that serves is refused: switch over first.",
      "Ends with 0 when it is gone, with 5 when it was refused, with 6 when the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead hosts remove app4",
    ].join("\n"),
  },
  parameters: { flags: { ...shared, ...serviceFlag }, positional: { kind: "tuple", parameters: [hostParameter] } },
  async func(flags, host) {
    const { client, url } = connect(this, flags);
    const service = flags.service ?? serviceOf(requireAnswer(await client.hosts(this.signal), url), host);
    show(this, flags.json, requireAnswer(await client.removeHost(service, host, this.signal), url));
  },
});

/** Without --service the host's id must be one service's only. */
function serviceOf(list: HostList, host: string): string {
  const services = [...new Set(list.hosts.filter(({ id }) => id === host).map(({ service }) => service))];
  const [only] = services;
  if (only !== undefined && services.length === 1) return only;
  if (only === undefined) throw new CliError(exitCodes.refused, { found: `there is no host "${host}"`, advice: "see `stead hosts list`" });
  throw new CliError(exitCodes.usage, { found: `"${host}" is a host of ${services.join(" and ")}`, accepted: "--service with one of them", advice: "name the service" });
}

function show(context: CliContext, json: boolean, list: HostList): void {
  context.process.stdout.write(json ? `${JSON.stringify(list)}\n` : formatHosts(list));
}

export function formatHosts(list: HostList): string {
  const columns = [{ title: "SERVICE" }, { title: "HOST" }, { title: "CONTROL" }, { title: "PRIORITY", align: "right" as const }, { title: "NOFAILOVER" }, { title: "FROM" }];
  const own = "(its own)";
  return formatTable(
    columns,
    list.hosts.map((host) => [host.service, host.id, host.controlUrl, host.priority === null ? own : String(host.priority), host.nofailover === null ? own : host.nofailover ? "yes" : "no", host.source]),
  );
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) throw new Error(`"${text}" is not a whole number`);
  return value;
}
