/** A gateway as a process of its own, so that tests can kill and stop it. Argument: its configuration file. */
import { readFileSync } from "node:fs";
import { parseConfig } from "../../../src/config/load.ts";
import { Gateway } from "../../../src/gateway/gateway.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { secret } from "./cluster.ts";

const file = process.argv[2] ?? "";
const result = parseConfig(file, readFileSync(file, "utf8"), { env: {} });
if (result.kind === "invalid" || result.config.gateway === undefined) throw new Error(JSON.stringify(result));
const skewMs = Number(process.env["SKEW_MS"] ?? 0);
const clock = { ...systemClock, wallTime: () => systemClock.wallTime() + skewMs };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const reader: [string, ...string[]] = [process.execPath, new URL("./sql-reader-main.ts", import.meta.url).pathname];
const gateway = await Gateway.start({ ...result.config.gateway, secret }, { clock, sqlReader: reader, log: silent });
process.on("SIGTERM", () => {
  gateway.close(0).then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
process.stdout.write("ready\n");
