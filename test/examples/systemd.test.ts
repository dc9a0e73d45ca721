/**
 * The unit files of examples/systemd rely on exit codes, signals and time limits of the program: they are compared
 * here.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { exitCodes } from "../../src/cli/output/exit-codes.ts";
import { configTemplate } from "../../src/cli/commands/init-template.ts";
import { parseConfig } from "../../src/config/load.ts";
import { parseDuration } from "../../src/config/units.ts";

const folder = join(import.meta.dirname, "../../examples/systemd");

function unit(name: string): ReadonlyMap<string, string> {
  const text = readFileSync(join(folder, name), "utf8");
  return new Map([...text.matchAll(/^([A-Z]\w*)=(.+)$/gm)].map(([, key = "", value = ""]) => [key, value]));
}

function stopLimitMs(settings: ReadonlyMap<string, string>): number {
  const result = parseDuration(settings.get("TimeoutStopSec") ?? "");
  if (result.kind !== "ok") throw new Error("TimeoutStopSec is no duration");
  return result.value;
}

/** The configuration with every default. */
function defaults() {
  const text = configTemplate({
    role: "both",
    service: "notes",
    hostId: "a",
    secretFile: "unused",
    vault: "/vault",
    bootstrap: false,
  }).replace(/^secret_file.*$/m, "");
  const result = parseConfig("/etc/stead/stead.toml", text, { env: { STEAD_SECRET: "0123456789abcdef" } });
  if (result.kind !== "ok" || result.config.host === undefined || result.config.gateway === undefined)
    throw new Error("the template is refused");
  return { host: result.config.host, gateway: result.config.gateway };
}

test("systemd waits longer than a clean stop may take with the default limits", () => {
  const { host, gateway } = defaults();
  // Host.stop: step down (drain, application, journal), then twice the vault's limit for calls in flight.
  const hostStopMs = host.drainTimeoutMs + host.application.stopTimeoutMs + 3 * host.vaultTimeoutMs;
  expect(stopLimitMs(unit("stead-host.service"))).toBeGreaterThan(hostStopMs);
  expect(stopLimitMs(unit("stead-gateway.service"))).toBeGreaterThan(gateway.drainTimeoutMs);
});

test("only a wrong command line or configuration is not tried again, and only the main process gets the signal", () => {
  for (const name of ["stead-host.service", "stead-host@.service", "stead-gateway.service", "stead-vault.service"]) {
    const settings = unit(name);
    expect(settings.get("RestartPreventExitStatus")).toBe(`${exitCodes.usage} ${exitCodes.configuration}`);
    expect(settings.get("KillMode")).toBe("mixed");
    expect(settings.get("Restart")).toBe("always");
  }
});

test("the unit of a further service's host differs from the first one's by its file alone", () => {
  const read = (name: string): string =>
    readFileSync(join(folder, name), "utf8").replace(/^(?:#.*|Description=.*)\n/gm, "");
  expect(read("stead-host@.service")).toBe(read("stead-host.service").replaceAll("stead/stead.toml", "stead/%i.toml"));
});
