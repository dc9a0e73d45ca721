/** `stead doctor`: looks for what would make a gateway or host fail on this machine, before or while it runs. */
import { buildCommand } from "@stricli/core";
import { checkNames, findFaults } from "../doctor/checks.ts";
import { describeMachine } from "../doctor/probes.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { paragraph } from "../output/wrap-text.ts";
import { configFileParameter, requireConfig } from "./config.ts";

export const doctorCommand = buildCommand<{ readonly json: boolean }, [file?: string], CliContext>({
  docs: {
    brief: "Find what is wrong with this machine for stead",
    fullDescription: [
      "Looks at the clocks of other gateways, mounts, permissions, ports, the secret, open files, disks, the vault's speed against the lease, and advertised",
      "addresses, as the configuration file names them. Run it as the user of the service, before the service starts: a port that",
      "stead itself has is in use. Writes nothing but a small file in the vault, which it removes.",
      "Exits with 0 if all is well, with 9 if there is a fault.",
      "",
      "EXAMPLES",
      "  stead doctor",
      "  sudo -u stead stead doctor /etc/stead/stead.toml --json",
    ].join("\n"),
  },
  parameters: {
    flags: {
      json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object: ok, faults" },
    },
    positional: { kind: "tuple", parameters: [configFileParameter] },
  },
  async func(flags, file) {
    const faults = findFaults(await describeMachine(requireConfig(this, file)));
    const { stdout } = this.process;
    if (flags.json) stdout.write(`${JSON.stringify({ ok: faults.length === 0, faults })}\n`);
    else
      for (const name of checkNames) {
        const own = faults.filter(({ check }) => check === name);
        if (own.length === 0) stdout.write(`ok     ${name}\n`);
        for (const { found, accepted, advice } of own)
          stdout.write(
            `fault  ${name}\n${paragraph("       found:    ", found)}${paragraph("       accepted: ", accepted)}${paragraph("       do:       ", advice)}`,
          );
      }
    if (faults.length > 0) this.exitWith(exitCodes.verdict);
  },
});
