/** `stead hosts list|add|set|drain|remove`: the registry of hosts, changed at run time. */
import { buildCommand } from "@stricli/core";
import type { HostList } from "../../control/gateway-api.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  parseUrl,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { describeDone } from "./switchover.ts";
import { formatTable } from "../output/table.ts";

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
  docs: {
    brief: "List the registered hosts",
    fullDescription: "EXAMPLES\n  stead hosts list\n  stead hosts list --json",
  },
  parameters: { flags: shared },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    show(this, flags.json, requireAnswer(await client.hosts(this.signal), url));
  },
});

export const hostsAddCommand = buildCommand<AddFlags, [host: string, control: string], CliContext>({
  docs: {
    brief: "Register a host, or change its registration",
    fullDescription: [
      "The gateway watches it at once. Hosts added here win over the configuration file, also after a restart.",
      "Exits with 0 once it is registered, with 5 if it was refused, with 6 if the gateway does not answer.",
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
      priority: {
        kind: "parsed",
        parse: wholeNumber,
        optional: true,
        placeholder: "number",
        brief: "Higher is preferred (default: the host's own setting)",
      },
      nofailover: { kind: "boolean", default: false, withNegated: false, brief: "Never promote it by automation" },
    },
    positional: {
      kind: "tuple",
      parameters: [hostParameter, { brief: "Its control address", placeholder: "url", parse: parseUrl }],
    },
  },
  async func(flags, id, controlUrl) {
    const { client, url } = connectToGateway(this, flags);
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

export const hostsRemoveCommand = buildCommand<
  HostsFlags & { readonly service: string | undefined },
  [host: string],
  CliContext
>({
  docs: {
    brief: "Remove a host from the registry",
    fullDescription: [
      "It is no longer watched or promoted. A serving primary is refused: switch over first.",
      "Exits with 0 once it is gone, with 5 if it was refused, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead hosts remove app4",
    ].join("\n"),
  },
  parameters: { flags: { ...shared, ...serviceFlag }, positional: { kind: "tuple", parameters: [hostParameter] } },
  async func(flags, host) {
    const { client, url } = connectToGateway(this, flags);
    const service = flags.service ?? serviceOf(requireAnswer(await client.hosts(this.signal), url), host);
    show(this, flags.json, requireAnswer(await client.removeHost(service, host, this.signal), url));
  },
});

interface SetFlags extends HostsFlags {
  readonly service: string | undefined;
  readonly priority: number | "own" | undefined;
  readonly nofailover: "yes" | "no" | "own" | undefined;
}

export const hostsSetCommand = buildCommand<SetFlags, [host: string], CliContext>({
  docs: {
    brief: "Change the priority of a host, or whether it may become primary",
    fullDescription: [
      "Values set here win over the configuration file, also after a restart. `own` returns to the host's own setting.",
      "`--nofailover no` undoes `stead hosts drain`. Exits with 0 once it is set, with 5 if there is no such host, with 6 if",
      "the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead hosts set app2 --priority 10",
      "  stead hosts set app2 --nofailover own",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...shared,
      ...serviceFlag,
      priority: {
        kind: "parsed",
        parse: numberOrOwn,
        optional: true,
        placeholder: "number|own",
        brief: "Higher is preferred as the next primary",
      },
      nofailover: {
        kind: "parsed",
        parse: yesNoOrOwn,
        optional: true,
        placeholder: "yes|no|own",
        brief: "Whether to exclude it from becoming primary",
      },
    },
    positional: { kind: "tuple", parameters: [hostParameter] },
  },
  async func(flags, host) {
    const { priority, nofailover } = flags;
    if (priority === undefined && nofailover === undefined) {
      throw new OperatorError("usage", {
        found: "nothing to set",
        accepted: "--priority, --nofailover or both",
        advice: "see `stead hosts set --help`",
      });
    }
    const { client, url } = connectToGateway(this, flags);
    const service = flags.service ?? serviceOf(requireAnswer(await client.hosts(this.signal), url), host);
    const change = {
      ...(priority === undefined ? {} : { priority: priority === "own" ? null : priority }),
      ...(nofailover === undefined ? {} : { nofailover: nofailover === "own" ? null : nofailover === "yes" }),
    };
    show(this, flags.json, requireAnswer(await client.changeHost(service, host, change, this.signal), url));
  },
});

export const hostsDrainCommand = buildCommand<
  HostsFlags & { readonly service: string | undefined },
  [host: string],
  CliContext
>({
  docs: {
    brief: "Take a host out of service: no candidate, and no longer primary",
    fullDescription: [
      "Sets nofailover, and switches over to another host if it is primary. It stays registered and follows the log;",
      "`stead hosts set HOST --nofailover no` undoes this; `stead hosts remove HOST` removes it from the registry.",
      "Exits with 0 once it is no longer primary, with 5 if no other host could take over (it is still excluded as a candidate), with",
      "6 when the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead hosts drain app1 && ssh app1 reboot",
    ].join("\n"),
  },
  parameters: { flags: { ...shared, ...serviceFlag }, positional: { kind: "tuple", parameters: [hostParameter] } },
  async func(flags, host) {
    const { client, url } = connectToGateway(this, flags);
    const service = flags.service ?? serviceOf(requireAnswer(await client.hosts(this.signal), url), host);
    const done = requireAnswer(await client.drainHost(service, host, this.signal), url);
    const drained = `${host} is drained: it follows the log, and is no candidate until \`stead hosts set ${host} --nofailover no\`\n`;
    this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : `${drained}${describeDone(done)}`);
  },
});

/** Returns the service of the host; without --service, its id must be unique among all services. */
function serviceOf(list: HostList, host: string): string {
  const services = [...new Set(list.hosts.filter(({ id }) => id === host).map(({ service }) => service))];
  const [only] = services;
  if (only !== undefined && services.length === 1) return only;
  if (only === undefined)
    throw new OperatorError("refused", { found: `there is no host "${host}"`, advice: "see `stead hosts list`" });
  throw new OperatorError("usage", {
    found: `"${host}" is a host of ${services.join(" and ")}`,
    accepted: "--service with one of them",
    advice: "name the service",
  });
}

function show(context: CliContext, json: boolean, list: HostList): void {
  context.process.stdout.write(json ? `${JSON.stringify(list)}\n` : formatHosts(list, context.process.stdout.columns));
}

export function formatHosts(list: HostList, width?: number): string {
  const columns = [
    { title: "SERVICE" },
    { title: "HOST" },
    { title: "CONTROL" },
    { title: "PRIORITY", align: "right" as const },
    { title: "NOFAILOVER" },
    { title: "FROM" },
  ];
  const own = "(its own)";
  return formatTable(
    columns,
    list.hosts.map((host) => [
      host.service,
      host.id,
      host.controlUrl,
      host.priority === null ? own : String(host.priority),
      host.nofailover === null ? own : host.nofailover ? "yes" : "no",
      host.source,
    ]),
    width,
  );
}

function numberOrOwn(text: string): number | "own" {
  return text === "own" ? text : wholeNumber(text);
}

function yesNoOrOwn(text: string): "yes" | "no" | "own" {
  if (text !== "yes" && text !== "no" && text !== "own") throw new Error(`"${text}" is not accepted: yes, no or own`);
  return text;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) throw new Error(`"${text}" is not a whole number`);
  return value;
}
