/** `stead doctor`: looks for what would make a gateway or host fail on this machine, or in the whole cluster. */
import { buildCommand } from "@stricli/core";
import { checkNames, type Fault, findFaults } from "../doctor/checks.ts";
import { type Cluster, clusterCheckNames, findClusterFaults } from "../doctor/cluster.ts";
import { surveyCluster } from "../doctor/cluster-survey.ts";
import { describeMachine } from "../doctor/probes.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { paragraph } from "../output/wrap-text.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import { connectionFlags, type ConnectionFlags, connectToGateway } from "./gateway-connection.ts";

interface DoctorFlags extends Omit<ConnectionFlags, "config"> {
  readonly cluster: boolean;
  readonly json: boolean;
}

export const doctorCommand = buildCommand<DoctorFlags, [file?: string], CliContext>({
  docs: {
    brief: "Find what is wrong with this machine, or with the cluster, for stead",
    fullDescription: [
      "Looks at the clocks of other gateways, mounts, permissions, ports, the secret, open files, disks, the vault's speed against the lease, and advertised",
      "addresses, as the configuration file names them. Run it as the user of the service, before the service starts: a port that",
      "stead itself has is in use. Writes nothing but a small file in the vault, which it removes.",
      "With --cluster it asks all gateways instead, those of the file and those that they know, from any machine: for clocks, secrets",
      "and versions that differ, the vault's speed against the lease as each host measures it, and addresses at which a gateway or host",
      "is not heard, or that mean another machine. It writes nothing then, and a token of a viewer is enough.",
      "Exits with 0 if all is well, with 9 if there is a fault, with 3 if the file is invalid. With --cluster it exits with 6 if no",
      "gateway answers, since nothing is known of the cluster then; a secret that they refuse is a fault.",
      "",
      "EXAMPLES",
      "  stead doctor",
      "  sudo -u stead stead doctor /etc/stead/stead.toml --json",
      "  stead doctor --cluster --gateway http://10.0.0.1:7700 --token-file viewer.token",
    ].join("\n"),
  },
  parameters: {
    flags: {
      cluster: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Ask all gateways about the cluster, not this machine",
      },
      gateway: connectionFlags.gateway,
      tokenFile: connectionFlags.tokenFile,
      json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object: ok, faults" },
    },
    positional: { kind: "tuple", parameters: [configFileParameter] },
  },
  async func(flags, file) {
    const faults = flags.cluster
      ? await clusterFaults(this, flags, file)
      : findFaults(await describeMachine(requireConfig(this, file)));
    const names = flags.cluster ? clusterCheckNames : checkNames;
    this.process.stdout.write(
      flags.json ? `${JSON.stringify({ ok: faults.length === 0, faults })}\n` : formatFaults(names, faults),
    );
    if (faults.length > 0) this.exitWith(exitCodes.verdict);
  },
});

async function clusterFaults(
  context: CliContext,
  { gateway, tokenFile }: DoctorFlags,
  file: string | undefined,
): Promise<readonly Fault[]> {
  const { url, config, clientOf } = connectToGateway(context, { gateway, tokenFile, config: file });
  const gateways = [...new Set([url, ...(config?.gateway?.peers ?? [])])];
  const hosts = (config?.services ?? []).flatMap(({ name: service, hosts: of }) =>
    of.map(({ id, controlUrl }) => ({ service, id, controlUrl })),
  );
  const cluster = await surveyCluster({ gateways, hosts }, clientOf, context.signal);
  requireSomeAnswer(cluster);
  return findClusterFaults(cluster);
}

/** Without any answer there is no cluster to judge: the command ends as every other one that finds no gateway. */
function requireSomeAnswer({ gateways }: Cluster): void {
  const silent = gateways.flatMap(({ url, answer }) => (answer.kind === "silent" ? [`${url}: ${answer.why}`] : []));
  if (silent.length < gateways.length) return;
  throw new OperatorError("unreachable", {
    found: `no gateway of the cluster answers: ${silent.join("; ")}`,
    advice:
      "start one with `stead gateway FILE`, or name one that runs with --gateway; `stead doctor FILE` looks at this machine without any",
  });
}

function formatFaults(names: readonly Fault["check"][], faults: readonly Fault[]): string {
  const lines = names.flatMap((name) => {
    const own = faults.filter(({ check }) => check === name);
    if (own.length === 0) return [`ok     ${name}\n`];
    return own.map(
      ({ found, accepted, advice }) =>
        `fault  ${name}\n${paragraph("       found:    ", found)}${paragraph("       accepted: ", accepted)}${paragraph("       do:       ", advice)}`,
    );
  });
  return lines.join("");
}
