import { expect, test } from "bun:test";
import { configTemplate } from "../../../src/cli/commands/init-template.ts";
import { parseConfig } from "../../../src/config/load.ts";

function problemsWith(line: string): string[] {
  const text = configTemplate({
    role: "host",
    service: "notes",
    hostId: "a",
    secretFile: "unused",
    vault: "/vault",
    bootstrap: false,
  })
    .replace(/^secret_file.*$/m, "")
    .replace(/^control = .*$/m, 'control = "127.0.0.1:7701"')
    .replace(/^listen = .*$/m, 'listen = "0.0.0.0:7702"\nadvertise_data = "http://10.0.0.1:7702"')
    .replace(/^\[host\.application\]$/m, `[host.application]\n${line}`);
  const result = parseConfig("/etc/stead/stead.toml", text, { env: { STEAD_SECRET: "0123456789abcdef" } });
  return result.kind === "ok" ? [] : result.problems.map(({ key, found }) => `${key}: ${found}`);
}

test("the application's fixed port is its own, at either loopback address", () => {
  expect(problemsWith("port = 3000")).toEqual([]);
  expect(problemsWith("port = 7701")[0]).toStartWith(
    "host.application.port: 127.0.0.1:7701, which host.control takes already",
  );
  expect(problemsWith("port = 7702")[0]).toContain("which host.listen takes already");
  expect(problemsWith("port = 0").length).toBe(1);
});
