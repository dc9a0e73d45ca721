import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/load.ts";
import { gatewaySettings, restartKeys } from "../../src/config/settings.ts";
import type { Config } from "../../src/config/types.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-traces-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const endpoint = 'endpoint = "http://127.0.0.1:4318/v1/traces"';
const parsed = (...lines: string[]) =>
  parseConfig(
    join(folder, "stead.toml"),
    `[gateway]\nid = "g1"\nlisten = "127.0.0.1:8000"\ndatabase = "g.db"\n[gateway.traces]\n${lines.join("\n")}\n`,
    { env: { STEAD_SECRET: "a-secret-of-the-tests-only" } },
  );
function accepted(...lines: string[]): Config {
  const result = parsed(...lines);
  if (result.kind === "invalid") throw new Error(JSON.stringify(result.problems));
  return result.config;
}
function problemsOf(...lines: string[]) {
  const result = parsed(...lines);
  return result.kind === "ok" ? [] : result.problems;
}
function secretFile(text: string, mode = 0o600): string {
  const path = join(folder, "headers");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return 'headers_file = "headers"';
}

test("an endpoint is enough; headers come from the file and from one beside it", () => {
  expect(accepted(endpoint).gateway?.traces).toEqual({
    ...{ endpoint: "http://127.0.0.1:4318/v1/traces", headers: {}, sample: 1, timeoutMs: 10_000 },
  });
  const all = accepted(
    endpoint,
    "sample = 0.1",
    'timeout = "2s"',
    'headers = { X-Scope = "eu" }',
    secretFile("Authorization: Bearer t0ken\nX-Key: k\n"),
  );
  expect(all.gateway?.traces).toMatchObject({
    ...{ sample: 0.1, timeoutMs: 2_000 },
    headers: { "x-scope": "eu", authorization: "Bearer t0ken", "x-key": "k" },
  });
});

test("who can read secret headers is warned of", () => {
  expect(accepted(endpoint, secretFile("X-Key: k\n", 0o644)).warnings).toMatchObject([
    { key: "gateway.traces.headers_file", advice: `chmod 600 ${join(folder, "headers")}` },
  ]);
});

test.each([
  [['endpoint = "http://127.0.0.1:4318"'], "gateway.traces.endpoint", "no path"],
  [['endpoint = "127.0.0.1:4318/v1/traces"'], "gateway.traces.endpoint", "no scheme"],
  [["sample = 0.5"], "gateway.traces.endpoint", "no endpoint"],
  [[endpoint, "sample = 1.5"], "gateway.traces.sample", "more than all"],
  [[endpoint, 'sample = "all"'], "gateway.traces.sample", "no number"],
  [[endpoint, 'headers = { "a b" = "c" }'], "gateway.traces.headers", "no token"],
  [[endpoint, 'headers = { X-A = "a\\nb" }'], "gateway.traces.headers", "two lines"],
  [[endpoint, 'headers = { Content-Type = "text/plain" }'], "gateway.traces.headers", "stead's own"],
  [[endpoint, 'headers = { X-A = "a", x-a = "b" }'], "gateway.traces.headers", "the same twice"],
  [[endpoint, 'headers_file = "missing"'], "gateway.traces.headers_file", "no such file"],
])("%j is refused at %s: %s", (lines, key) => {
  expect(problemsOf(...lines)).toMatchObject([{ key }]);
});

test("a line of the file that is no header is named by its number and not shown", () => {
  const [problem] = problemsOf(endpoint, secretFile("X-Key: k\nBearer s3cret\n"));
  expect(problem).toMatchObject({ key: "gateway.traces.headers_file", found: "entry 2, which is no header field" });
  expect(JSON.stringify(problem)).not.toContain("s3cret");
});

test("settings show no header, but that one changed, and a change needs a restart", () => {
  const gateway = (...lines: string[]) => {
    const found = accepted(endpoint, ...lines).gateway;
    if (found === undefined) throw new Error("no gateway");
    return found;
  };
  const before = gateway('headers = { X-Key = "s3cret" }');
  const after = gateway('headers = { X-Key = "other1" }');
  expect(JSON.stringify(gatewaySettings(before))).not.toContain("s3cret");
  expect(restartKeys(before, after)).toEqual(["gateway.traces"]);
});

test("a header from a variable of stead's own, and none that the application would inherit", () => {
  const parsedWith = (name: string) =>
    parseConfig(
      join(folder, "stead.toml"),
      `[gateway]\nid = "g1"\nlisten = "127.0.0.1:8000"\ndatabase = "g.db"\n[gateway.traces]\n${endpoint}\nheaders = { X-Key = "\${${name}}" }\n`,
      { env: { STEAD_SECRET: "a-secret-of-the-tests-only", [name]: "k3y!" } },
    );
  expect(parsedWith("STEAD_KEY")).toMatchObject({ config: { gateway: { traces: { headers: { "x-key": "k3y!" } } } } });
  expect(parsedWith("OTLP_KEY")).toMatchObject({ problems: [{ key: "gateway.traces.headers.X-Key" }] });
});
