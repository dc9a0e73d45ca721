/** `stead vault serve`: has a vault's folder, and serves it to hosts over the network until it is told to stop. */
import { resolve } from "node:path";
import { buildCommand } from "@stricli/core";
import { parseListen } from "../../config/address.ts";
import { ClusterSecrets } from "../../config/cluster-secrets.ts";
import type { VaultServerConfig } from "../../config/types.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { configFileParameter, requireConfig } from "./config.ts";

interface ServeFlags {
  readonly data: string | undefined;
  readonly listen: string | undefined;
}

export const vaultServeCommand = buildCommand<ServeFlags, [file?: string], CliContext>({
  docs: {
    brief: "Serve a vault's folder to hosts on other machines, which need no shared folder then",
    fullDescription: [
      "Runs on the machine that has the disk, and owns the folder alone. Reads [vault] and [cluster] of the configuration file;",
      'hosts of the service name it as `host.vault = "stead://vault1:7750"` and have the same secret. The vault must have its log',
      "in segments (`stead vault create --log segments`), so that a commit costs one write, one sync and a round trip.",
      "Stops at SIGTERM, SIGINT or SIGQUIT; the hosts' clients wait until it is back.",
      "",
      "EXAMPLES",
      "  stead vault serve /etc/stead/vault.toml",
      "  stead vault serve --data /srv/vault/notes --listen 0.0.0.0:7750",
    ].join("\n"),
  },
  parameters: {
    flags: {
      data: { kind: "parsed", parse: String, optional: true, placeholder: "folder", brief: "Instead of vault.data" },
      listen: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "address",
        brief: "Instead of vault.listen",
      },
    },
    positional: { kind: "tuple", parameters: [configFileParameter] },
  },
  async func(flags, file) {
    const { folder, listen, secret, secretFrom: from } = settingsOf(this, flags, file);
    const [{ serveVault }, { systemClock }, { systemRandom }, { systemLog }] = await Promise.all([
      import("../../remote/serve-vault.ts"),
      import("../../runtime/clock.ts"),
      import("../../runtime/random.ts"),
      import("../../runtime/log.ts"),
    ]);
    const log = systemLog("vault");
    const secrets = new ClusterSecrets({ secret, from, clock: systemClock, log }).watch();
    const valid = (): readonly string[] => secrets.valid;
    const server = await serveVault({
      folder,
      ...listen,
      secrets: valid,
      clock: systemClock,
      random: systemRandom,
      log,
    });
    log.info("serving", { folder, address: `${listen.host}:${server.port}` });
    const stopped = new Promise<void>((done) => {
      if (this.signal.aborted) done();
      this.signal.addEventListener("abort", () => done(), { once: true });
    });
    try {
      await Promise.race([stopped, server.ended]);
      log.info("stopping", { reason: "it was asked to" });
    } finally {
      secrets.close();
      await server.close();
    }
  },
});

function settingsOf(context: CliContext, flags: ServeFlags, file: string | undefined): VaultServerConfig {
  const config = requireConfig(context, file);
  const folder = flags.data === undefined ? config.vault?.folder : resolve(context.cwd, flags.data);
  const listen =
    flags.listen === undefined ? (config.vault?.listen ?? { host: "0.0.0.0", port: 7750 }) : parseListen(flags.listen);
  const secret = config.vault?.secret ?? config.host?.secret ?? config.gateway?.secret;
  const { secretFrom } = config.vault ?? config.host?.cluster ?? config.gateway?.cluster ?? {};
  if (folder === undefined || secret === undefined)
    throw new OperatorError("configuration", {
      found: `no [vault] in ${config.file}`,
      accepted: "a file with [cluster] and [vault], with `data` and `listen`",
      advice: "add it, or name another file",
    });
  if (listen === undefined)
    throw new OperatorError("usage", {
      found: `--listen ${JSON.stringify(flags.listen)}`,
      accepted: "an address and a port, for example 0.0.0.0:7750",
      advice: "write both",
    });
  return { folder, listen, secret, secretFrom };
}
