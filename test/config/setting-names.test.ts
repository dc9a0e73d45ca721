import { expect, test } from "bun:test";
import { parseConfig } from "../../src/config/load.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { gatewaySettings, restartKeys } from "../../src/config/settings.ts";
import type { GatewayConfig } from "../../src/config/types.ts";
import { keyPaths } from "../../src/config/walk.ts";

function gateway(...lines: string[]): GatewayConfig {
  const text = `[gateway]\nid = "g1"\nlisten = "127.0.0.1:8000"\ndatabase = "g.db"\n${lines.join("\n")}\n`;
  const result = parseConfig("/etc/stead/stead.toml", text, { env: { STEAD_SECRET: "a-secret-of-the-tests-only" } });
  if (result.kind === "invalid" || result.config.gateway === undefined) throw new Error(JSON.stringify(result));
  return result.config.gateway;
}

test("every setting is called as in the file, and has its unit", () => {
  const settings = gatewaySettings(gateway("[gateway.tls]", 'cert = "c.pem"', 'key = "k.pem"'));
  const known = new Set(keyPaths(fileSchema));
  const unknown = Object.keys(settings).filter((key) => !known.has(key));
  expect(unknown).toEqual([]);
  expect(settings).toMatchObject({
    ...{ "gateway.hold.time": "30s", "gateway.hold.bytes": "64MiB", "gateway.hold.concurrency": 64 },
    ...{ "gateway.probe.interval": "250ms", "gateway.limits.head": "32KiB", "gateway.access_log.to": "off" },
    ...{ "gateway.drain": "10s", "gateway.tls.cert": "/etc/stead/c.pem" },
  });
});

test("a change that needs a restart is named by the key that the operator wrote", () => {
  const logged = gateway("[gateway.access_log]", 'to = "access.log"', "[gateway.hold]", "concurrency = 5");
  expect(restartKeys(gateway(), logged)).toEqual(["gateway.access_log.to"]);
});
