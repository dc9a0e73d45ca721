import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { differences, restartKeys } from "../../src/config/settings.ts";
import { ConfigWatch } from "../../src/gateway/config-watch.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { runStead } from "../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../support/gateway/cluster.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
let cluster: TestCluster;
let gateway: Gateway;
let watch: ConfigWatch;
let file: string;

interface Shape {
  readonly hosts?: readonly string[];
  readonly extra?: string;
  readonly gateway?: string;
}

function configText({ hosts = ["a", "b"], extra = "", gateway: more = "" }: Shape): string {
  const tables = hosts
    .map((id) => `[[service.host]]\nid = "${id}"\ncontrol = "${cluster.host(id).controlUrl}"\n`)
    .join("");
  return `[cluster]\nsecret = "${secret}"\n[gateway]\nid = "g1"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\ndatabase = "gateway.db"\n${more}\n[gateway.probe]\ninterval = "100ms"\n[[service]]\nname = "notes"\n${tables}${extra}`;
}

/** Puts a new file in the place of the old one, as editors do. */
function replaceFile(shape: Shape | string): void {
  writeFileSync(`${file}.new`, typeof shape === "string" ? shape : configText(shape));
  renameSync(`${file}.new`, file);
}

const load = () => loadConfig(file, { env: {} });

beforeEach(async () => {
  cluster = new TestCluster();
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b"), cluster.addHost("c")]);
  file = join(cluster.folder, "stead.toml");
  replaceFile({});
  const loaded = load();
  if (loaded.kind !== "ok" || loaded.config.gateway === undefined) throw new Error(JSON.stringify(loaded));
  gateway = await cluster.startGateway({ ...loaded.config.gateway });
  watch = await ConfigWatch.start({ file, load, gateway, clock: systemClock, log: silent, pollMs: 10 });
  await cluster.serving();
});
afterEach(async () => {
  await watch.close();
  await cluster.stop();
});

const troubles = (): string => gateway.status().troubles.join("\n");
const stead = (...args: string[]) =>
  runStead(args, { cwd: "/", env: { STEAD_GATEWAY: `127.0.0.1:${gateway.adminPort}`, STEAD_SECRET: secret } });

/** The secret comes from the file here. */
const configDiff = (...args: string[]) =>
  runStead(["config", "diff", file, "--gateway", `127.0.0.1:${gateway.adminPort}`, ...args], { cwd: "/" });

/** A kept-alive connection; `ask` sends a request on it and gives the answer. */
async function openConnection(): Promise<{ ask(): Promise<string>; readonly ended: boolean; close(): void }> {
  const socket = connect(gateway.port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  let ended = false;
  socket.on("close", () => (ended = true));
  return {
    ask: () =>
      new Promise((resolve) => {
        let text = "";
        const take = (chunk: Buffer): void => {
          text += chunk.toString();
          if (!text.includes("}")) return;
          socket.off("data", take);
          resolve(text);
        };
        socket.on("data", take);
        socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      }),
    get ended() {
      return ended;
    },
    close: () => socket.destroy(),
  };
}

describe("a configuration that is read again", () => {
  test("adds and removes hosts and services and changes times, and no connection is dropped", async () => {
    const connection = await openConnection();
    expect(await connection.ask()).toContain('"host":"a"');
    replaceFile({
      hosts: ["a", "c"],
      extra: '[[service]]\nname = "other"\nmatch.host = "other.example"\n',
      gateway: 'drain = "1s"\nhold.time = "5s"\nanswer_whole = "1KiB"',
    });
    await until(() => gateway.services().length === 2);
    expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "c"]);
    await until(() => cluster.service().hosts.every(({ role }) => role !== null));
    expect(await connection.ask()).toContain('"host":"a"');
    expect(connection.ended).toBe(false);
    const report = gateway.configReport();
    expect(report.settings).toMatchObject({
      "gateway.drain": "1s",
      "gateway.hold.time": "5s",
      "gateway.answer_whole": "1KiB",
      "service other: match.host": "other.example",
    });
    const away = await fetch(`http://127.0.0.1:${gateway.port}/`, {
      headers: { host: "other.example" },
      signal: AbortSignal.timeout(50),
    }).then(
      (response) => response.status,
      () => "waits",
    );
    expect(away).toBe("waits"); // for a primary of the new service
    replaceFile({});
    await until(() => gateway.services().length === 1);
    expect((await cluster.ask()).host).toBe("a");
    connection.close();
  });

  test("is refused as a whole when it is invalid: the previous one stays active, and status names the reason until a valid one is read", async () => {
    replaceFile(`${configText({ hosts: ["a"] })}\nsurprise = 1\n`);
    await until(() => troubles().includes("surprise"));
    expect(troubles()).toContain("the previous one stays in force");
    expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "b"]);
    expect((await stead("status")).out).toContain("WARNING: the changed configuration file was refused");
    const answer = await cluster.client.cluster();
    expect(answer.kind === "ok" && answer.value.configuration.refused?.why).toContain("surprise");
    replaceFile({ hosts: ["a", "b", "c"] });
    await until(() => troubles() === "");
    expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  test("is refused when it changes a key that needs a restart, and the refusal names the key", async () => {
    replaceFile(
      configText({ hosts: ["a"] })
        .replace('id = "g1"', 'id = "g2"')
        .replace("gateway.db", "other.db"),
    );
    await until(() => troubles().includes("restart it"));
    expect(troubles()).toContain("gateway.database, gateway.id cannot change while the gateway runs");
    const [refused] = gateway.configReport().reloads;
    expect(refused?.refused).toContain("restart it");
    expect(refused?.differences.map(({ key, after }) => [key, after])).toEqual([
      ["gateway.database", gateway.config.databasePath.replace("gateway.db", "other.db")],
      ["gateway.id", "g2"],
      ["service notes: host b", null],
    ]);
    expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "b"]);
  });

  test("is refused too when its file is missing, and is read at once on SIGHUP", async () => {
    renameSync(file, `${file}.away`);
    watch.reloadNow();
    await until(() => troubles().includes("no readable file"));
    renameSync(`${file}.away`, file);
    watch.reloadNow();
    await until(() => troubles() === "");
  });

  test("does not undo changes made at run time, and `stead config diff` shows where they differ", async () => {
    const same = await configDiff();
    expect([same.code, same.out]).toEqual([0, "the file and the gateway agree\n"]);
    expect((await stead("hosts", "remove", "b")).code).toBe(0);
    expect((await stead("hosts", "set", "a", "--priority", "9")).code).toBe(0);
    replaceFile({ hosts: ["a", "b", "c"] });
    await until(() => cluster.service().hosts.some(({ id }) => id === "c"));
    expect(cluster.service().hosts.map(({ id, priority }) => [id, priority])).toEqual([
      ["a", 9],
      ["c", 0],
    ]);
    const diff = await configDiff("--json");
    const a = cluster.host("a").controlUrl;
    expect([diff.code, JSON.parse(diff.out)]).toEqual([
      9,
      {
        same: false,
        refused: null,
        differences: [
          { key: "service notes: host a", file: a, running: `${a}, priority 9`, because: "decided at run time" },
          {
            key: "service notes: host b",
            file: cluster.host("b").controlUrl,
            running: null,
            because: "decided at run time",
          },
        ],
      },
    ]);
  });
});

describe("differences of configurations", () => {
  test("name every key that is added, removed or changed, in order", () => {
    expect(differences({ b: 1, a: 2, same: 3 }, { b: 2, c: 1, same: 3 })).toEqual([
      { key: "a", before: 2, after: null },
      { key: "b", before: 1, after: 2 },
      { key: "c", before: null, after: 1 },
    ]);
  });

  test("a changed secret needs a restart and is not shown", () => {
    const { config } = cluster;
    if (config === undefined) throw new Error("no configuration");
    expect(restartKeys(config, { ...config, secret: "another secret of the tests" })).toEqual(["cluster.secret"]);
    expect(restartKeys(config, { ...config, probe: { ...config.probe, fall: 5 }, services: [] })).toEqual([]);
    expect(restartKeys(config, { ...config, limits: { ...config.limits, idleMs: 1 } })).toEqual([
      "gateway.limits.idle",
    ]);
  });
});
