/**
 * A gateway in another program: `import { gateway } from "stead"`. It is the gateway of `stead gateway`, with its
 * configuration file, database, administration and peers, and gives its data plane as a Hono app, with the same hold
 * and replay, for the program's own server. What that path loses is in docs/DATA-PLANE.md, "As a Hono app".
 *
 * @example
 *   const front = await gateway({ config: "stead.toml" });
 *   Bun.serve({ port: 8080, fetch: front.app.fetch });
 */
import { resolve } from "node:path";
import { loadConfig } from "../config/load.ts";
import { formatProblems } from "../config/problems.ts";
import { GatewayProcess } from "../gateway/gateway-process.ts";
import { systemClock } from "../runtime/clock.ts";
import { systemLog } from "../runtime/log.ts";
import { OperatorError } from "../runtime/operator-error.ts";
import { selfCommand } from "../runtime/self-command.ts";
import { clientOf } from "./client-of.ts";
import type { StartGateway } from "./embedded-gateway.ts";

/** Rejects with an OperatorError. */
export const gateway: StartGateway = async function startGateway(options) {
  const load = () => loadConfig(options.config, { env: process.env, folder: process.cwd() });
  const loaded = load();
  if (loaded.kind !== "ok")
    throw new OperatorError("configuration", {
      found: `${options.config} is not a valid configuration:\n${formatProblems(loaded.problems)}`,
      advice: "mend it; `stead config check` says the same",
    });
  const { gateway: config } = loaded.config;
  if (config === undefined || config.workers !== 1)
    throw new OperatorError("configuration", {
      found: config === undefined ? `no [gateway] in ${options.config}` : "gateway.workers is not 1",
      accepted: "a file with [gateway], whose data plane is in this process",
      advice: config === undefined ? "`stead init` writes one" : "remove gateway.workers",
    });
  const running = await GatewayProcess.start({
    ...{ config, load, clock: systemClock, log: systemLog(`gateway ${config.id}`) },
    ...{ configFile: resolve(options.config), sqlReader: [...selfCommand(), "sql-reader"] },
  });
  return {
    app: running.proxyApp(options.clientOf ?? clientOf),
    port: running.port,
    adminPort: running.adminPort,
    reload: () => running.reloadNow(),
    close: () => running.stop(),
  };
};
