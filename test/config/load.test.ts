import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { formatProblems } from "../../src/config/problems.ts";
import type { Config, Problem } from "../../src/config/types.ts";
import { defaultHttpLimits } from "../../src/http/limits.ts";
import { defaultDataPlane, defaultGatewayLimits } from "../support/config/data-plane.ts";

const secret = "0123456789abcdef0123";
const env = { STEAD_SECRET: secret };

const gatewayText = `
[gateway]
id = "gw1"
listen = "127.0.0.1:8000"
database = "gateway.db"
`;
const hostText = `
[host]
id = "a"
service = "notes"
control = "10.0.0.1:7701"
listen = "10.0.0.1:8080"
data = "data"
databases = ["notes.db", "tenants/*.db"]
vault = "/mnt/vault/notes"
[host.application]
command = ["bun", "app.ts"]
`;
/** Ends in [host.vault_s3]. */
const inBucket = `${hostText.replace("/mnt/vault/notes", "s3://bucket/notes")}[host.vault_s3]\n`;
const serviceText = `
[[service]]
name = "notes"
[[service.host]]
id = "a"
control = "http://10.0.0.1:7701"
`;
const everything = gatewayText + serviceText + hostText;

function accepted(text: string): Config {
  const result = parseConfig("/etc/stead/stead.toml", text, { env });
  if (result.kind === "invalid") throw new Error(formatProblems(result.problems));
  return result.config;
}

function refused(text: string, environment: Record<string, string> = env): readonly Problem[] {
  const result = parseConfig("/etc/stead/stead.toml", text, { env: environment });
  if (result.kind === "ok") throw new Error("accepted, but should be refused");
  return result.problems;
}

/** One of the valid texts with a line put in place of another. */
function changed(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the text has no ${from}`);
  return text.replace(from, () => to);
}

describe("an accepted configuration", () => {
  test("with a vault in a bucket has a lease and looks that suit one, and the bucket where its provider has it", () => {
    const { host } = accepted(hostText.replace("/mnt/vault/notes", "s3://bucket/notes/"));
    expect(host).toMatchObject({
      ...{ vaultUrl: "s3://bucket/notes", leaseMs: 4_000, pollMs: 250, driftMarginMs: 400 },
      vaultS3: {
        endpoint: { secure: true, host: "s3.us-east-1.amazonaws.com", port: 443 },
        ...{ region: "us-east-1", pathStyle: false, credentials: { kind: "environment" } },
      },
    });
    const own = `${inBucket}endpoint = "http://10.0.0.9:7480"\ncredentials_file = "s3.credentials"\nprofile = "stead"\n`;
    const asUser = own.replace("[host.application]", '[host.application]\nuser = "notes"');
    expect(accepted(asUser).host?.applicationUser?.privateFiles).toContain("/etc/stead/s3.credentials");
    expect(accepted(own).host?.vaultS3).toEqual({
      endpoint: { secure: false, host: "10.0.0.9", port: 7480 },
      ...{ region: "us-east-1", pathStyle: true, caPath: undefined },
      credentials: { kind: "file", path: "/etc/stead/s3.credentials", profile: "stead" },
    });
  });

  test("a bound that the file does not name has the default of the data plane itself; only the front of a host waits without a limit for a first byte", () => {
    const { gateway, host } = accepted(everything);
    expect(defaultHttpLimits).toEqual({ ...defaultHttpLimits, ...gateway?.limits });
    expect(host?.limits).toEqual({
      connectionsMax: 10_000,
      headBytesMax: 32_768,
      headerCountMax: 100,
      bodyBytesMax: 2 ** 30,
      headArrivalMs: 10_000,
      idleMs: 75_000,
      connectMs: 1000,
      firstByteMs: 0,
    });
  });

  test("everything that is left out has its documented default, in the unit of its name", () => {
    const { gateway, host, services } = accepted(everything);
    expect(gateway).toEqual({
      id: "gw1",
      notify: [],
      listen: { host: "127.0.0.1", port: 8000 },
      adminListen: { host: "127.0.0.1", port: 7700 },
      adminUrl: "http://127.0.0.1:7700",
      databasePath: "/etc/stead/gateway.db",
      secret,
      cluster: { name: "stead", acceptBearer: false, secretFrom: { kind: "environment" } },
      peers: [],
      probe: { intervalMs: 250, timeoutMs: 500, fall: 2, rise: 2 },
      hold: { requestsMax: 10_000, bytesMax: 67_108_864, timeMs: 30_000 },
      workers: 1,
      replayAgainMax: 1,
      replayWrites: "named",
      replaySpool: { bytesMax: 0, folder: "/etc/stead/gateway.db.spool" },
      answerWholeBytesMax: 64 * 1024,
      clientHalfClose: "gone",
      drainTimeoutMs: 10_000,
      limits: defaultGatewayLimits,
      dataPlane: defaultDataPlane,
      services: [
        {
          name: "notes",
          match: { host: undefined, path: undefined },
          hosts: [{ id: "a", controlUrl: "http://10.0.0.1:7701", priority: undefined, nofailover: undefined }],
          rejoin: "auto",
          firstByte: [],
        },
      ],
    });
    expect(services).toEqual(gateway?.services ?? []);
    expect(host).toMatchObject({
      controlUrl: "http://10.0.0.1:7701",
      dataUrl: "http://10.0.0.1:8080",
      dataFolder: "/etc/stead/data",
      stateFolder: "/etc/stead/data.stead",
      setAsideFolder: "/etc/stead/data.stead/set-aside",
      setAsideKeep: 20,
      setAsideBytesMax: 10 * 2 ** 30,
      diskStallMs: 5_000,
      outcomes: { keepMs: 600_000, bodyBytesMax: 64 * 1024 },
      vaultUrl: "file:///mnt/vault/notes",
      vaultTimeoutMs: 5000,
      bootstrap: false,
      bootstrapCheck: "quick",
      durability: { kind: "strict" },
      leaseMs: 1000,
      driftMarginMs: 100,
      pollMs: 20,
      application: {
        command: ["bun", "app.ts"],
        cwd: "/etc/stead",
        env: {},
        readyPath: undefined,
        readyTimeoutMs: 30_000,
        health: { path: undefined, intervalMs: 1_000, timeoutMs: 2_000, patienceMs: 30_000 },
        port: undefined,
        stopSignal: "SIGTERM",
        stopCommand: undefined,
        stopTimeoutMs: 10_000,
        restartsMax: 3,
        restartWindowMs: 60_000,
        log: { kind: "prefixed" },
      },
      checkpoint: {
        intervalMs: 300_000,
        journalBytes: 67_108_864,
        restoreBudgetMs: 10_000,
        keepMin: 2,
        windowMs: 3_600_000,
        history: [],
      },
    });
  });

  test("older checkpoints stay by rules", () => {
    const text = (rules: string): string =>
      changed(hostText, "[host.application]", `[host.checkpoint]\nhistory = "${rules}"\n[host.application]`);
    expect(accepted(text("7d hourly")).host?.checkpoint.history).toEqual([{ everyMs: 3_600_000, forMs: 604_800_000 }]);
    expect(refused(text("100d hourly"))).toMatchObject([
      {
        key: "host.checkpoint.history",
        advice: "keep at most 1000 checkpoints: these rules would keep 2400",
      },
    ]);
  });

  test("each part may stand in a file of its own", () => {
    expect(accepted(gatewayText)).toMatchObject({ host: undefined, services: [] });
    expect(accepted(hostText)).toMatchObject({ gateway: undefined });
    expect(accepted(serviceText)).toMatchObject({ gateway: undefined, host: undefined });
  });

  test.each([
    ["", { path: undefined, intervalMs: 1_000, timeoutMs: 2_000, patienceMs: 30_000 }],
    [
      'ready = { path = "/up?deep=0" }',
      { path: "/up?deep=0", intervalMs: 1_000, timeoutMs: 2_000, patienceMs: 10_000 },
    ],
    [
      'ready = { path = "/up" }\nhealth = { path = "/live?a=b&c", patience = "1s" }',
      { path: "/live?a=b&c", intervalMs: 250, timeoutMs: 1_000, patienceMs: 1_000 },
    ],
    [
      'health = { patience = "off", interval = "3s", timeout = "1m" }',
      { path: undefined, intervalMs: 3_000, timeoutMs: 60_000, patienceMs: undefined },
    ],
  ])("the health check of an application with %s has the times that fit its patience", (lines, health) => {
    expect(
      accepted(changed(hostText, "[host.application]", `[host.application]\n${lines}`)).host?.application.health,
    ).toEqual(health);
  });

  test.each(["interval", "timeout"])("a health %s that is longer than the patience is refused", (key) => {
    const [problem] = refused(
      changed(hostText, "[host.application]", `[host.application]\nhealth = { ${key} = "11s", path = "/" }`),
    );
    expect(problem).toMatchObject({
      key: `host.application.health.${key}`,
      found: "11s, longer than the patience of 10s",
    });
  });

  test("given values are used unchanged", () => {
    const { host } = accepted(
      changed(
        hostText,
        "[host.application]",
        'durability = "async"\nasync_loss_max = "200ms"\nlease = "4s"\nvault_timeout = "1m"\n[host.application]',
      ),
    );
    expect(host).toMatchObject({
      durability: { kind: "async", lossMaxMs: 200 },
      leaseMs: 4000,
      driftMarginMs: 400,
      vaultTimeoutMs: 60_000,
    });
  });
});

describe("a refused configuration", () => {
  /** Each: what is wrong, the text, the key and the line that must be named, and a word of the advice. */
  const cases: readonly (readonly [what: string, text: string, key: string, line: number | null, says: RegExp])[] = [
    [
      "a duration without a unit",
      changed(gatewayText, "[gateway]", "[gateway.probe]\ninterval = 250\n[gateway]"),
      "gateway.probe.interval",
      3,
      /found 250\n.*unit/,
    ],
    [
      "a duration with a unit of something else",
      changed(hostText, "[host.application]", 'lease = "4MiB"\n[host.application]'),
      "host.lease",
      10,
      /found "4MiB"\n.*duration/,
    ],
    [
      "a duration out of bounds",
      changed(hostText, "[host.application]", 'lease = "5m"\n[host.application]'),
      "host.lease",
      10,
      /from 100ms to 1m/,
    ],
    [
      "a size with a decimal unit",
      changed(hostText, "[host.application]", '[host.checkpoint]\njournal = "64MB"\n[host.application]'),
      "host.checkpoint.journal",
      11,
      /MiB/,
    ],
    ["a misspelt key", changed(hostText, "vault =", "valut ="), "host.valut", 9, /did you mean "vault"/],
    [
      "a key of another table",
      changed(gatewayText, 'id = "gw1"', 'id = "gw1"\nlease = "1s"'),
      "gateway.lease",
      4,
      /belongs into host\.lease/,
    ],
    ["an unknown table", `${gatewayText}[gatway]\n`, "gatway", 6, /did you mean "gateway"/],
    ["a missing key", changed(hostText, 'vault = "/mnt/vault/notes"\n', ""), "host.vault", 2, /no "vault" in host/],
    [
      "a missing table",
      hostText.slice(0, hostText.indexOf("[host.application]")),
      "host.application",
      2,
      /\[host.application\]/,
    ],
    [
      "a table where several are meant",
      changed(serviceText, "[[service]]\n", "[service]\n"),
      "service",
      2,
      /two brackets/,
    ],
    [
      "several tables where one is meant",
      changed(gatewayText, "[gateway]", "[[gateway]]"),
      "gateway",
      2,
      /a table, \[gateway\]/,
    ],
    ["a value where a table is meant", "gateway = 1\n", "gateway", 1, /found 1\n/],
    ["an id with a capital", changed(hostText, 'id = "a"', 'id = "A"'), "host.id", 3, /lower-case/],
    ["an address without a port", changed(hostText, '"10.0.0.1:8080"', '"10.0.0.1"'), "host.listen", 6, /port/],
    [
      "a control URL with a path",
      changed(serviceText, "7701", "7701/v1"),
      "service[0].host[0].control",
      6,
      /without a path/,
    ],
    [
      "a pattern that ends in folders of any depth",
      changed(hostText, "tenants/*.db", "data/**"),
      "host.databases[1]",
      8,
      /only as a whole segment before the last/,
    ],
    [
      "a pattern that ends like a file of SQLite's own",
      changed(hostText, "tenants/*.db", "*-journal"),
      "host.databases[1]",
      8,
      /ends in -wal, -shm or -journal, .* put a wildcard there/,
    ],
    [
      "a database outside of the data folder",
      changed(hostText, "tenants/*.db", "../x.db"),
      "host.databases[1]",
      8,
      /without `\.\.`/,
    ],
    [
      "an empty command",
      changed(hostText, '["bun", "app.ts"]', "[]"),
      "host.application.command",
      11,
      /an empty array/,
    ],
    [
      "an unknown signal",
      `${hostText}stop = { signal = "SIGNOPE" }\n`,
      "host.application.stop.signal",
      12,
      /"SIGTERM" or/,
    ],
    [
      "a vault of a kind that there is not",
      changed(hostText, "/mnt/vault/notes", "ftp://x/y"),
      "host.vault",
      9,
      /file:\/\/\/path/,
    ],
    [
      "a bucket without a prefix",
      changed(hostText, "/mnt/vault/notes", "s3://bucket"),
      "host.vault",
      9,
      /s3:\/\/bucket\/prefix/,
    ],
    [
      "where a bucket is, with a vault in a folder",
      `${hostText}[host.vault_s3]\nregion = "eu"\n`,
      "host.vault_s3",
      12,
      /beside vault = "\/mnt/,
    ],
    [
      "an endpoint with a path",
      `${inBucket}endpoint = "https://s3.example/bucket"\n`,
      "host.vault_s3.endpoint",
      13,
      /without a path/,
    ],
    [
      "a copy of the vault on a vault server",
      `${hostText}[[host.vault_copy]]\nto = "stead://vault2:7750"\n`,
      "host.vault_copy[0].to",
      13,
      /a vault server takes no copy/,
    ],
    [
      "a copy of the vault in the vault",
      `${hostText}[[host.vault_copy]]\nto = "/mnt/vault/notes/"\n`,
      "host.vault_copy[0].to",
      13,
      /the vault or another copy/,
    ],
    [
      "where a bucket is, with a copy in a folder",
      `${hostText}[[host.vault_copy]]\nto = "/mnt/other"\n[host.vault_copy.s3]\nregion = "eu"\n`,
      "host.vault_copy[0].s3",
      14,
      /beside to = "\/mnt/,
    ],
    ["a profile of no file", `${inBucket}profile = "x"\n`, "host.vault_s3.profile", 13, /without credentials_file/],
    [
      "authorities for an endpoint without TLS",
      `${inBucket}endpoint = "http://s3.example"\nca = "ca.pem"\n`,
      "host.vault_s3.ca",
      14,
      /without an endpoint that has TLS/,
    ],
    [
      "a lease that a bucket cannot keep",
      changed(inBucket, "[host.application]", 'lease = "500ms"\n[host.application]'),
      "host.lease",
      10,
      /in a bucket/,
    ],
    [
      "looks that a bucket would be paid for",
      changed(inBucket, "[host.application]", 'poll = "20ms"\n[host.application]'),
      "host.poll",
      10,
      /costs money/,
    ],
    [
      "the vault inside of the data folder",
      changed(hostText, "/mnt/vault/notes", "data/vault"),
      "host.vault",
      9,
      /inside each other/,
    ],
    [
      "the data folder inside of the vault",
      changed(hostText, "/mnt/vault/notes", "."),
      "host.vault",
      9,
      /inside each other/,
    ],
    [
      "a state folder inside of the data folder",
      changed(hostText, "[host.application]", 'state = "data/x"\n[host.application]'),
      "host.state",
      10,
      /beside the data folder/,
    ],
    [
      "async without its loss window",
      changed(hostText, "[host.application]", 'durability = "async"\n[host.application]'),
      "host.durability",
      10,
      /async_loss_max = "1s"/,
    ],
    [
      "a loss window with strict",
      changed(hostText, "[host.application]", 'async_loss_max = "1s"\n[host.application]'),
      "host.async_loss_max",
      10,
      /remove it/,
    ],
    [
      "a wildcard address that no client can reach",
      changed(hostText, '"10.0.0.1:7701"', '"0.0.0.0:7701"'),
      "host.control",
      5,
      /advertise_control = "http:\/\/ADDRESS:7701"/,
    ],
    ["port 0 of a host", changed(hostText, '"10.0.0.1:8080"', '"10.0.0.1:0"'), "host.listen", 6, /fixed port/],
    [
      "two listeners at one port",
      changed(hostText, '"10.0.0.1:8080"', '"10.0.0.1:7701"'),
      "host.listen",
      6,
      /host\.control takes already/,
    ],
    [
      "the application's PORT set by hand",
      `${hostText}env = { PORT = "1" }\n`,
      "host.application.env.PORT",
      12,
      /listens where PORT says/,
    ],
    [
      "the same host id twice",
      `${serviceText}[[service.host]]\nid = "a"\ncontrol = "http://10.0.0.2:7701"\n`,
      "service[0].host[1].id",
      8,
      /id of service\[0\]\.host\[0\]/,
    ],
    [
      "the same control address twice",
      `${serviceText}[[service.host]]\nid = "b"\ncontrol = "http://10.0.0.1:7701/"\n`,
      "service[0].host[1].control",
      9,
      /host "a"/,
    ],
    [
      "the same service twice",
      serviceText + changed(serviceText, "[[service.host]]", 'match.host = "x"\n[[service.host]]').replace("7701", "1"),
      "service[1].name",
      9,
      /service\[0\]/,
    ],
    [
      "two services for the same requests",
      serviceText + serviceText.replace("notes", "other").replace("7701", "1"),
      "service[1].match",
      8,
      /match\.host/,
    ],
    [
      "a lease shorter than a probe",
      changed(everything, "[host.application]", 'lease = "300ms"\n[host.application]'),
      "host.lease",
      21,
      /probe\.timeout/,
    ],
    [
      "a drift margin longer than the lease",
      changed(hostText, "[host.application]", 'drift_margin = "2s"\n[host.application]'),
      "host.drift_margin",
      10,
      /tenth of the lease/,
    ],
    [
      "a poll too slow for the lease",
      changed(hostText, "[host.application]", 'poll = "600ms"\n[host.application]'),
      "host.poll",
      10,
      /half the lease/,
    ],
    [
      "a hold shorter than the detection",
      `${gatewayText}hold = { time = "900ms" }\n`,
      "gateway.hold.time",
      6,
      /noticed only after 1s/,
    ],
    [
      "a hold shorter than the lease",
      changed(everything, "[[service]]", '[gateway.hold]\ntime = "1s"\n[[service]]').replace(
        "[host.application]",
        'lease = "2s"\n[host.application]',
      ),
      "gateway.hold.time",
      8,
      /lease/,
    ],
    ["a file with nothing in it", "", "", null, /none of \[gateway\]/],
  ];

  for (const [what, text, key, line, says] of cases) {
    test(`${what} is refused at its line, with what to do`, () => {
      const problems = refused(text);
      // A misspelt key is reported as unknown, and the correct one as missing.
      const also = key === "host.valut" ? ["host.vault"] : [];
      expect(problems.map((problem) => problem.key).toSorted()).toEqual([key, ...also].toSorted());
      expect(problems.find((problem) => problem.key === key)?.line ?? null).toBe(line);
      expect(formatProblems(problems)).toMatch(says);
      for (const problem of problems) {
        expect(problem.found).not.toBe("");
        expect(problem.accepted).not.toBe("");
        expect(problem.advice).not.toBe("");
      }
    });
  }

  test("all problems of all parts are reported at once, in the order of the file", () => {
    const text = everything
      .replace('id = "gw1"', 'id = "GW"\nx = 1')
      .replace('"10.0.0.1:8080"', '"10.0.0.1:7701"')
      .replace('vault = "/mnt/vault/notes"', "vault = 1");
    const keys = refused(text).map((problem) => problem.key);
    expect(keys).toEqual(["gateway.id", "gateway.x", "host.vault"]);
    const contradictory = everything.replace('id = "gw1"', 'id = "GW"').replace('"10.0.0.1:8080"', '"10.0.0.1:7701"');
    expect(refused(contradictory).map((problem) => problem.key)).toEqual(["gateway.id", "host.listen"]);
  });

  test("text that is not TOML is refused at its line and column, with the line", () => {
    const [problem] = refused(`${gatewayText}listen = 127.0.0.1:80\n`);
    expect(problem).toMatchObject({ line: 6, key: "" });
    expect(problem?.found).toBe(
      "text that is not TOML (trying to redefine an already defined table or value): listen = 127.0.0.1:80",
    );
  });

  test("a missing file is refused without a line", () => {
    const result = loadConfig("/nonexistent/stead.toml", { env });
    expect(result).toMatchObject({ kind: "invalid", problems: [{ file: "/nonexistent/stead.toml", line: undefined }] });
  });

  test("keys that JavaScript gives a meaning to are ordinary unknown keys", () => {
    for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(refused(`${gatewayText}${key} = 1\n`).map((problem) => problem.key)).toEqual([`gateway.${key}`]);
      expect(refused(`${gatewayText}[${key}]\nx = 1\n`).map((problem) => problem.key)).toEqual([key]);
    }
  });
});

describe("peers of a gateway", () => {
  const withPeers = (peers: string, more = "") =>
    gatewayText.replace('id = "gw1"', () => `id = "gw1"\npeers = ${peers}${more}`) + serviceText;

  test("are addresses, and the gateway's own address must be within their reach", () => {
    expect(accepted(withPeers('["http://127.0.0.1:7701"]')).gateway?.peers).toEqual(["http://127.0.0.1:7701"]);
    expect(accepted(withPeers('["http://10.0.0.2:7700"]', '\nadmin = "10.0.0.1:7700"')).gateway?.peers).toEqual([
      "http://10.0.0.2:7700",
    ]);
    expect(
      accepted(
        withPeers('["http://10.0.0.2:7700"]', '\nadmin = "0.0.0.0:7700"\nadvertise_admin = "http://10.0.0.1:7700"'),
      ).gateway?.peers,
    ).toHaveLength(1);
  });

  test.each([
    ['["10.0.0.2"]', "", "gateway.peers[0]"],
    ['"http://10.0.0.2:7700"', "", "gateway.peers"],
    ['["http://10.0.0.2:7700"]', "", "gateway.admin"],
    ['["http://10.0.0.2:7700"]', '\nadmin = "0.0.0.0:7700"', "gateway.admin"],
    [
      '["http://10.0.0.2:7700"]',
      '\nadmin = "10.0.0.1:7700"\nadvertise_admin = "http://localhost:7700"',
      "gateway.advertise_admin",
    ],
  ])("%s with%s is refused at %s", (peers, more, key) => {
    expect(refused(withPeers(peers, more)).map((problem) => problem.key)).toEqual([key]);
  });
});

describe("the secret", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "stead-config-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function load(name: string, text: string, environment: Record<string, string> = {}) {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return loadConfig(path, { env: environment });
  }

  test("it comes from a file beside the configuration, without its line end", () => {
    writeFileSync(join(folder, "secret"), `${secret}\n`, { mode: 0o600 });
    const result = load("a.toml", `[cluster]\nsecret_file = "secret"\n${gatewayText}`);
    expect(result).toMatchObject({ kind: "ok", config: { gateway: { secret }, warnings: [] } });
  });

  test("a file that others can read works, with a warning that says how to mend it", () => {
    const path = join(folder, "open");
    writeFileSync(path, secret);
    chmodSync(path, 0o644);
    const result = load("b.toml", `[cluster]\nsecret_file = "open"\n${gatewayText}`);
    expect(result.kind === "ok" ? result.config.warnings : []).toMatchObject([
      { key: "cluster.secret_file", line: 2, advice: `chmod 600 ${path}` },
    ]);
  });

  test("none, two, a short one, one with a space and an unreadable file are refused", () => {
    const cases: readonly (readonly [string, Record<string, string>, string])[] = [
      ["", {}, "cluster"],
      [`[cluster]\nsecret = "${secret}"\n`, { STEAD_SECRET: secret }, "cluster"],
      ['[cluster]\nsecret = "short"\n', {}, "cluster.secret"],
      ["", { STEAD_SECRET: "0123456789 0123456789" }, "cluster"],
      ['[cluster]\nsecret_file = "missing"\n', {}, "cluster.secret_file"],
    ];
    for (const [text, environment, key] of cases)
      expect(refused(text + gatewayText, environment)).toMatchObject([{ key }]);
  });

  test("it never appears in a message", () => {
    const texts = [
      '[cluster]\nsecret = "topsecret"\n',
      '[cluster]\nsecret = ["topsecret"]\n',
      '[cluster]\nsecret = "topsecret\n',
      "[cluster]\nsecret = topsecret\n",
      '[cluster]\nsecret = "topsecret topsecret topsecret"\n',
    ];
    for (const text of texts) expect(JSON.stringify(refused(text + gatewayText, {}))).not.toContain("topsecret");
  });
});
