import { expect, test } from "bun:test";
import { parseConfig } from "../../src/config/load.ts";
import type { GatewayConfig } from "../../src/config/types.ts";
import { differencesMax, ReloadHistory, reloadsMax } from "../../src/gateway/reload-history.ts";

const head = `[cluster]\nsecret = "the-first-secret-of-this-cluster"\n[gateway]\nid = "g1"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\ndatabase = "gateway.db"\n`;

function configOf(more = "", change = (text: string): string => text): GatewayConfig {
  const parsed = parseConfig("/etc/stead/stead.toml", change(`${head}${more}\n[[service]]\nname = "notes"\n`), {
    env: {},
  });
  if (parsed.kind !== "ok" || parsed.config.gateway === undefined) throw new Error(JSON.stringify(parsed));
  return parsed.config.gateway;
}

test("keeps what a reload changed, and what a refused one would have changed, newest first", () => {
  const history = new ReloadHistory();
  const [before, after] = [configOf(), configOf('drain = "3s"')];
  history.add(1, before, { kind: "applied", after });
  const moved = configOf('drain = "3s"', (text) => text.replace('id = "g1"', 'id = "g2"'));
  history.add(2, after, { kind: "refused", why: "gateway.id cannot change", after: moved });
  history.add(3, after, { kind: "refused", why: "stead.toml:1: no table", after: undefined });
  expect(history.reloads).toEqual([
    { atMs: 3, refused: "stead.toml:1: no table", differences: [], differencesLeftOut: 0 },
    {
      ...{ atMs: 2, refused: "gateway.id cannot change", differencesLeftOut: 0 },
      differences: [{ key: "gateway.id", before: "g1", after: "g2" }],
    },
    {
      ...{ atMs: 1, refused: null, differencesLeftOut: 0 },
      differences: [{ key: "gateway.drain", before: "10s", after: "3s" }],
    },
  ]);
});

test("a file that was read again and says the same is not kept", () => {
  const history = new ReloadHistory();
  history.add(1, configOf(), { kind: "applied", after: configOf() });
  expect(history.reloads).toEqual([]);
});

test("no secret is in a difference: that it differs is", () => {
  const targets = (secret: string): string => `
[service.objective.probe]
url = "https://robot:${secret}@notes.example/probes/{token}?key=${secret}"
headers = { authorization = "Bearer ${secret}" }
[[notify]]
name = "chat"
to = "slack"
url = "https://hooks.example/${secret}"
`;
  const [one, two] = ["hunter2-one", "hunter2-two"];
  const given = (secret: string): GatewayConfig =>
    configOf("", (text) => text.replace(/secret = "[^"]*"/, `secret = "${secret}-of-this-cluster"`) + targets(secret));
  const history = new ReloadHistory();
  history.add(1, given(one), { kind: "applied", after: given(two) });
  const [reload] = history.reloads;
  expect(reload?.differences.map(({ key }) => key)).toEqual([
    "cluster.secret",
    "notify chat",
    "service notes: objective.probe",
  ]);
  expect(reload?.differences.every(({ before, after }) => before !== after)).toBe(true);
  expect(JSON.stringify(history.reloads)).not.toContain("hunter2");
});

test("is bounded in reloads, in differences of each, and in the length of a text", () => {
  const history = new ReloadHistory();
  const services = (count: number): GatewayConfig =>
    configOf(
      "",
      (text) =>
        text +
        Array.from({ length: count }, (_, at) => `[[service]]\nname = "s${at}"\nmatch.host = "s${at}.example"\n`).join(
          "",
        ),
    );
  history.add(1, services(0), { kind: "applied", after: services(differencesMax) });
  const [many] = history.reloads;
  expect(many?.differences.length).toBe(differencesMax);
  expect(many?.differencesLeftOut).toBeGreaterThan(0);
  for (let at = 0; at <= reloadsMax; at++)
    history.add(at, configOf(), { kind: "refused", why: "x".repeat(10_000), after: undefined });
  expect(history.reloads.length).toBe(reloadsMax);
  expect(history.reloads[0]?.refused?.length).toBeLessThan(500);
});
