import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problems.ts";
import type { Config } from "../../src/config/types.ts";

const secret = "0123456789abcdef0123";
const token = "token-of-a-receiver";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-variables-"));
  writeFileSync(join(folder, "token"), `${token}\n`, { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const base = `
[cluster]
secret = "\${STEAD_CLUSTER_SECRET}"
[gateway]
id = "gw1"
listen = "\${ADDRESS}:8000"
database = "gateway.db"
`;
const environment = { STEAD_CLUSTER_SECRET: secret, ADDRESS: "10.9.8.7" };

const parse = (text: string, env: Record<string, string> = environment) =>
  parseConfig(join(folder, "stead.toml"), text, { env });

function accepted(text: string, env?: Record<string, string>): Config {
  const result = parse(text, env);
  if (result.kind === "invalid") throw new Error(formatProblems(result.problems));
  return result.config;
}

function refused(text: string, env?: Record<string, string>): string {
  const result = parse(text, env);
  if (result.kind === "ok") throw new Error("accepted, but should be refused");
  return formatProblems(result.problems);
}

test("a variable stands for its value in any string, also beside other text", () => {
  const config = accepted(
    `${base}drain = "\${DRAIN}s"\nadmin = "\${ADDRESS}:7700"\npeers = ["http://\${PEER}:7700"]\n`,
    {
      ...environment,
      ...{ DRAIN: "7", PEER: "10.9.8.6" },
    },
  );
  expect(config.secret).toBe(secret);
  expect(config.cluster.secretFrom).toEqual({ kind: "environment" });
  expect(config.gateway).toMatchObject({
    listen: { host: "10.9.8.7", port: 8000 },
    drainTimeoutMs: 7_000,
    peers: ["http://10.9.8.6:7700"],
  });
});

test("a variable that is not set is refused with its line, once, and with what to do", () => {
  const text = refused(base, { STEAD_CLUSTER_SECRET: secret });
  expect(text).toContain("stead.toml:6:1: error: gateway.listen: found ${ADDRESS}, a variable that is not set");
  expect(text).toContain("set ADDRESS (in a unit: Environment= or EnvironmentFile=)");
  expect(text.match(/error:/g)).toHaveLength(1);
});

test("a value of a variable is in no message, wherever it is refused", () => {
  for (const [text, env] of [
    [`${base}client_half_close = "\${WORD}"\n`, { WORD: "hunter2-hunter2" }],
    [`${base}peers = ["http://\${WORD}:1/path"]\n`, { WORD: "hunter2-hunter2" }],
    [base, { ADDRESS: "hunter2-hunter2" }],
    [base, { STEAD_CLUSTER_SECRET: "hunter2" }],
    [`${base}[[notify]]\nname = "chat"\nto = "slack"\nurl = "\${STEAD_HOOK}"\n`, { STEAD_HOOK: "ftp://hunter2" }],
    [`${base}[[service]]\nname = "\${WORD}"\n[[service]]\nname = "\${WORD}"\n`, { WORD: "hunter2" }],
  ] as const) {
    const said = refused(text, { ...environment, ...env });
    expect(said).not.toContain("hunter2");
    expect(said).toContain("accepted:");
  }
});

test("a secret comes only from a variable that no application inherits", () => {
  expect(
    refused(base.replaceAll("STEAD_CLUSTER_SECRET", "APP_SECRET"), { ...environment, APP_SECRET: secret }),
  ).toContain("call it STEAD_APP_SECRET");
});

test("programs keep their arguments, and $${ is the text itself", () => {
  const host = `
[host]
id = "a"
service = "notes"
control = "10.0.0.1:7701"
listen = "10.0.0.1:8080"
data = "data$\${X}"
databases = ["*.db"]
vault = "/mnt/\${ADDRESS}"
vault_key = "\${STEAD_KEY}"
[host.application]
command = ["sh", "-c", "exec app --port \${PORT}"]
env = { A = "\${ADDRESS}" }
`;
  const config = accepted(base + host, { ...environment, STEAD_KEY: "key-0123456789abcdef" }).host;
  expect(config?.application.command).toEqual(["sh", "-c", "exec app --port ${PORT}"]);
  expect(config?.application.env).toEqual({ A: "10.9.8.7" });
  expect(config?.dataFolder).toEndWith("/data${X}");
  expect(config?.vaultUrl).toBe("file:///mnt/10.9.8.7");
  expect(config?.vaultKey).toEqual({ kind: "key", key: "key-0123456789abcdef" });
});

test("a variable whose name is not complete is refused", () => {
  expect(refused(base.replace("${ADDRESS}", "${ADDRESS"))).toContain("found ${ without a variable's name");
});

const receiver = (line: string): string =>
  `${base}[[notify]]\nname = "n"\nto = "webhook"\nurl = "https://a.example/"\n${line}\n`;
const probe = (line: string): string =>
  `${base}[[service]]\nname = "notes"\n[service.objective]\nprobe = { url = "https://n.example/{token}", ${line} }\n`;

for (const { of, text, read } of [
  {
    of: "a receiver of notifications",
    text: receiver,
    read: ({ gateway }: Config): unknown => {
      const to = gateway?.notify?.[0]?.to;
      return to?.kind === "http" ? to.bearer : undefined;
    },
  },
  {
    of: "a probe",
    text: probe,
    read: ({ services }: Config): unknown => services[0]?.probe?.headers["authorization"]?.replace("Bearer ", ""),
  },
])
  test(`the token of ${of} is in a file, in a variable, or in the file itself, and only in one`, () => {
    expect(read(accepted(text('token_file = "token"')))).toBe(token);
    expect(read(accepted(text('token = "${STEAD_T}"'), { ...environment, STEAD_T: token }))).toBe(token);
    expect(read(accepted(text(`token = "${token}"`)))).toBe(token);
    expect(
      refused(
        text(`token = "${token}"`).replace(
          `"${token}"`,
          `"${token}"${of === "a probe" ? "," : "\n"} token_file = "token"`,
        ),
      ),
    ).toContain("token and token_file");
    expect(refused(text('token = "two words"'))).not.toContain("two words");
  });
