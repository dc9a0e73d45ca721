/** What bad input gets from real processes: a clear error, a documented exit code, nothing lost. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { exitCodes } from "../../src/cli/output/exit-codes.ts";
import type { PromoteEvent } from "../../src/control/host-api.ts";
import type { DemoApplication } from "../../harness/applications.ts";
import type { Cluster, HostMember } from "../../harness/cluster.ts";
import { createVault } from "../../src/vault/store/open-store.ts";
import { type Bench, never, openBench, runStead, scriptApplication } from "./harness.ts";
import { canMount, withMount } from "./mounts.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const withinMs = 20_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

/** A cluster of one host and no gateway, nothing started. */
async function oneHost(options: Parameters<Bench["cluster"]>[0] = {}): Promise<{ cluster: Cluster; host: HostMember }> {
  const cluster = await bench.cluster({ hosts: 1, gateways: 0, ...options });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("no host");
  return { cluster, host };
}

const runHost = (host: HostMember): ReturnType<typeof runStead> =>
  runStead(["host", host.configFile], { cwd: host.folder, withinMs });

function edit(host: HostMember, change: (text: string) => string): void {
  writeFileSync(host.configFile, change(readFileSync(host.configFile, "utf8")));
}

async function occupy(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return server;
}

describe("a host refuses to start", () => {
  test("with a configuration that is malformed, naming file, line and key", async () => {
    const { host } = await oneHost();
    edit(host, (text) => text.replace(/^bootstrap = .*$/m, 'bootstrap = "maybe"\nlease = "5"'));
    const { code, stderr } = await runHost(host);
    expect(code).toBe(exitCodes.configuration);
    expect(stderr).toMatch(/host\.toml:\d+:\d+.*host\.bootstrap/);
    expect(stderr).toMatch(/host\.toml:\d+:\d+.*host\.lease/);
  });

  test("when the vault does not exist, or is an empty folder such as a share that is not mounted", async () => {
    const { host } = await oneHost();
    const vault = join(bench.folder, "vault");
    rmSync(vault, { recursive: true });
    const missing = await runHost(host);
    expect([missing.code, missing.stderr]).toEqual([exitCodes.vault, expect.stringContaining("no such folder")]);
    mkdirSync(vault);
    const empty = await runHost(host);
    expect([empty.code, empty.stderr]).toEqual([exitCodes.vault, expect.stringContaining("identity.json")]);
    expect(readdirSync(vault)).toEqual([]);
  });

  test("with another service's vault, which it leaves as it is", async () => {
    const { host } = await oneHost();
    const vault = join(bench.folder, "vault");
    rmSync(vault, { recursive: true });
    await (await createVault(vault, "payroll")).close();
    const { code, stderr } = await runHost(host);
    expect(code).toBe(exitCodes.vault);
    expect(stderr).toContain("payroll");
    expect(readdirSync(join(vault, "log"))).toEqual([]);
  });

  test("when its data port or its control port is in use", async () => {
    const { host } = await oneHost();
    for (const url of [host.dataUrl, host.controlUrl]) {
      const server = await occupy(Number(new URL(url).port));
      const { code, stderr } = await runHost(host);
      server.close();
      expect(code).toBe(exitCodes.resource);
      expect(stderr).toContain(new URL(url).port);
    }
  });
});

describe("the application", () => {
  test("that exits before it is ready makes the host give up for now, and say so", async () => {
    const { cluster, host } = await oneHost({ application: scriptApplication("echo 'no such table' >&2; exit 3") });
    await cluster.start(host);
    const { reason } = await untilPutOff(cluster, host);
    expect(reason).toContain("exit code 3");
    expect(readFileSync(host.logFile, "utf8")).toContain("no such table");
  });

  test("that never gets ready is given up after the configured time", async () => {
    const { cluster, host } = await oneHost({ application: scriptApplication("sleep 60") });
    edit(host, (text) => `${text}timeout = "300ms"\n`);
    await cluster.start(host);
    expect((await untilPutOff(cluster, host)).reason).toContain("not ready within 300 ms");
  });

  test("that cannot be started at all makes the host give up for now", async () => {
    const { cluster, host } = await oneHost({
      application: { ...scriptApplication(""), command: ["/no/such/program"] },
    });
    await cluster.start(host);
    expect((await untilPutOff(cluster, host)).reason).toContain("/no/such/program");
  });
});

function rude(): DemoApplication {
  return scriptApplication("", { command: [process.execPath, join(import.meta.dirname, "rude-application.ts")] });
}

describe("an application that", () => {
  test("ends again and again is restarted a bounded number of times, then the host gives up and says so", async () => {
    const { cluster, host } = await oneHost({ application: rude() });
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    let asked = 0;
    const status = await cluster.until(
      "the end of restarts",
      withinMs,
      never,
      () => "",
      async () => {
        await fetch(`${host.dataUrl}/exit/${(asked += 1)}`, { method: "POST" }).catch(() => undefined);
        const found = await cluster.statusOf(host);
        return found?.role === "secondary" && found.vacated && found.retry !== null ? found : undefined;
      },
    );
    expect(status.retry?.reason).toContain("exit code 5");
  });

  test("tries to leave WAL is not let", async () => {
    const { cluster, host } = await oneHost({ application: rude() });
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    // Answered when its database, which it has just made, is captured.
    expect((await fetch(`${host.dataUrl}/write`, { method: "POST" })).status).toBe(201);
    const answer = await fetch(`${host.dataUrl}/sql`, { method: "POST", body: "PRAGMA journal_mode=DELETE" });
    expect(answer.status).toBe(500);
    expect(await answer.text()).toContain("locked");
    expect((await fetch(`${host.dataUrl}/write`, { method: "POST" })).status).toBe(201);
    expect((await cluster.statusOf(host))?.role).toBe("primary");
  });

  test("wants the database for itself is not let", async () => {
    const { cluster, host } = await oneHost({ application: rude() });
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    expect((await fetch(`${host.dataUrl}/write`, { method: "POST" })).status).toBe(201);
    const body = "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO rows (text) VALUES ('alone')";
    const answered = await fetch(`${host.dataUrl}/sql`, { method: "POST", body }).then(
      async (answer) => `${answer.status} ${await answer.text()}`,
      () => "cut",
    );
    // Either SQLite refuses, or the host sees it and stops serving; it never serves what it cannot capture.
    if (answered !== "cut") return expect(answered).toMatch(/^500 .*locked/);
    const status = await cluster.until(
      "the reason",
      withinMs,
      never,
      () => "",
      async () => {
        const found = await cluster.statusOf(host);
        return found?.retry === null ? undefined : found;
      },
    );
    expect(status?.retry?.reason).toContain("locking_mode=EXCLUSIVE");
  });
});

describe("the control API", () => {
  test("answers no request without the cluster's secret", async () => {
    const { cluster, host } = await oneHost();
    await cluster.start(host);
    await cluster.whenWhole(withinMs, never);
    for (const headers of [
      {},
      { Authorization: "Bearer wrong-secret-of-some-length" },
      { Authorization: cluster.secret },
    ]) {
      for (const path of ["/v1/status", "/v1/status/stream", "/v1/promote"]) {
        const answer = await fetch(host.controlUrl + path, {
          headers: headers as Record<string, string>,
          method: path.endsWith("promote") ? "POST" : "GET",
        });
        expect([path, answer.status]).toEqual([path, 401]);
        expect(await answer.text()).not.toContain(host.id);
      }
    }
  });

  test("refuses to promote a host that is primary already, and one whose primary lives", async () => {
    const cluster = await bench.cluster({ hosts: 2, gateways: 0 });
    await Promise.all(cluster.hosts.map((host) => cluster.start(host)));
    const primary = await cluster.whenWhole(withinMs, never);
    const secondary = cluster.hosts.find((host) => host !== primary);
    if (secondary === undefined) throw new Error("no secondary");
    expect(await promote(cluster, primary)).toMatchObject({
      kind: "refused",
      refusal: { kind: "epoch_taken", host: primary.id },
    });
    expect(await promote(cluster, secondary)).toMatchObject({ kind: "refused", refusal: { kind: "primary_alive" } });
    expect((await cluster.primary())?.host.id).toBe(primary.id);
  });

  test("refuses to promote on behalf of a gateway that knows only an older epoch, and a host that restores still", async () => {
    const cluster = await bench.cluster({ hosts: 2, gateways: 0 });
    const [first, second] = cluster.hosts;
    if (first === undefined || second === undefined) throw new Error("no hosts");
    await cluster.start(second);
    await cluster.until(
      "the second host",
      withinMs,
      never,
      () => "",
      () => cluster.statusOf(second),
    );
    expect(await promote(cluster, second)).toMatchObject({ kind: "refused", refusal: { kind: "not_ready" } });
    await cluster.start(first);
    await cluster.whenWhole(withinMs, never);
    expect(await promote(cluster, second, 0)).toMatchObject({
      kind: "refused",
      refusal: { kind: "epoch_taken", host: first.id },
    });
  });
});

async function promote(cluster: Cluster, host: HostMember, epoch = 1): Promise<PromoteEvent | undefined> {
  let last: PromoteEvent | undefined;
  const request = { gateway: "test", epoch, gatewaysRegistered: 3, gatewaysSeeingDown: [], planned: false };
  await cluster.clientOf(host).promote(request, (event) => (last = event), never);
  return last;
}

describe("a gateway", () => {
  test("whose port is in use does not start, and names the port", async () => {
    const cluster = await bench.cluster({ hosts: 1, gateways: 1 });
    const [gateway] = cluster.gateways;
    if (gateway === undefined) throw new Error("no gateway");
    for (const url of [gateway.url, gateway.adminUrl]) {
      const server = await occupy(Number(new URL(url).port));
      const { code, stderr } = await runStead(["gateway", gateway.configFile], { cwd: gateway.folder, withinMs });
      server.close();
      expect([code, stderr]).toEqual([exitCodes.resource, expect.stringContaining(new URL(url).port)]);
    }
  });

  test("with another secret than the hosts' says so, and never takes the primary's place from it", async () => {
    const cluster = await bench.cluster({ hosts: 2, gateways: 1 });
    const [gateway] = cluster.gateways;
    if (gateway === undefined) throw new Error("no gateway");
    const text = readFileSync(gateway.configFile, "utf8").replace(
      /^secret_file = .*$/m,
      'secret = "another-secret-of-24-char"',
    );
    writeFileSync(gateway.configFile, text);
    await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
    const primary = await cluster.whenWhole(withinMs, never);
    const notes = await cluster.until(
      "the gateway's complaint",
      withinMs,
      never,
      () => "",
      async () => {
        const { stdout } = await runStead(["status", "--json", "--config", gateway.configFile]);
        return /secret|401/.test(stdout) ? stdout : undefined;
      },
    );
    expect(notes).toMatch(/secret|401/);
    expect((await cluster.primary())?.host.id).toBe(primary.id);
  });
});

test("commands that cannot be done are refused with the reason, and change nothing", async () => {
  const cluster = await bench.cluster({ hosts: 3, gateways: 1 });
  const [gateway] = cluster.gateways;
  const [first, second, absent] = cluster.hosts;
  if (gateway === undefined || first === undefined || second === undefined || absent === undefined)
    throw new Error("no cluster");
  await Promise.all([first, second, gateway].map((member) => cluster.start(member)));
  const config = ["--config", gateway.configFile];
  const serving = (): Promise<boolean | undefined> =>
    runStead(["status", ...config]).then(({ code }) => (code === exitCodes.ok ? true : undefined));
  await cluster.until("a primary that serves", withinMs, never, () => "", serving);
  const primary = (await cluster.primary())?.host.id ?? "";
  for (const [host, why] of [
    [primary, "already primary"],
    ["unregistered", "not registered"],
    [absent.id, /down|answer|reach|refused/i],
  ] as const) {
    const { code, stderr } = await runStead(["switchover", host, ...config]);
    expect([host, code]).toEqual([host, exitCodes.refused]);
    expect(stderr).toMatch(why);
  }
  const wrong = await runStead(["status", "--gateway", gateway.adminUrl], {
    env: { STEAD_SECRET: "a-wrong-secret-of-24-chars" },
  });
  expect(wrong.code).toBe(exitCodes.refused);
  const unreachable = await runStead(["status", "--gateway", "http://127.0.0.1:9"], {
    env: { STEAD_SECRET: cluster.secret },
  });
  expect(unreachable.code).toBe(exitCodes.unreachable);
  expect((await cluster.primary())?.status).toMatchObject({ host: primary, epoch: 1 });
});

test("a record with a flipped byte is refused and named, and no host takes over past it", async () => {
  const { cluster, host } = await oneHost();
  await cluster.start(host);
  await cluster.whenWhole(withinMs, never);
  for (let turn = 0; turn < 5; turn += 1)
    await fetch(`${host.dataUrl}/notes`, { method: "POST", body: '{"text":"kept"}' });
  host.process?.signal("SIGKILL");
  await host.process?.ended;
  const log = join(bench.folder, "vault", "log");
  const records = readdirSync(log, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const victim = records.map((entry) => join(entry.parentPath, entry.name)).sort()[3] ?? "";
  const bytes = readFileSync(victim);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  chmodSync(victim, 0o600);
  writeFileSync(victim, bytes);
  await cluster.start(host);
  const status = await cluster.until(
    "the complaint",
    withinMs,
    never,
    () => "",
    async () => {
      const found = await cluster.statusOf(host);
      return found?.reason?.includes("log/") === true || found?.reason?.includes("position") === true
        ? found
        : undefined;
    },
  );
  expect(status.role).not.toBe("primary");
  expect(status.reason).toContain("4");
  const verified = await runStead(["vault", "verify", join(bench.folder, "vault")]);
  expect(verified.code).toBe(exitCodes.verdict);
  expect(verified.stdout + verified.stderr).toContain("4");
});

/** Needs a root user who may mount: says so where it cannot. */
describe.skipIf(!canMount)("a vault (tests that mount a file system)", () => {
  test("that is read-only is refused at the start", async () => {
    const { host } = await oneHost();
    const vault = join(bench.folder, "vault");
    await withMount(vault, "bind", async () => {
      const { code, stderr } = await runHost(host);
      expect(code).toBe(exitCodes.vault);
      expect(stderr).toMatch(/read-only/i);
    });
  });

  test("that gets full stops acknowledging, and nothing that was acknowledged is lost", async () => {
    const vault = join(bench.folder, "vault");
    const { cluster, host } = await oneHost();
    rmSync(vault, { recursive: true });
    mkdirSync(vault);
    await withMount(vault, "small", async () => {
      await (await createVault(vault, "notes")).close();
      await cluster.start(host);
      await cluster.whenWhole(withinMs, never);
      const acknowledged: number[] = [];
      const write = async (): Promise<boolean> => {
        const answer = await fetch(`${host.dataUrl}/notes`, {
          method: "POST",
          body: JSON.stringify({ text: randomBytes(30_000).toString("hex") }),
          signal: AbortSignal.timeout(1500),
        }).catch(() => undefined);
        if (answer?.status !== 201) return false;
        acknowledged.push(((await answer.json()) as { id: number }).id);
        return true;
      };
      while (await write());
      expect(acknowledged.length).toBeGreaterThan(5);
      expect((await cluster.statusOf(host))?.warnings.join("\n")).toMatch(/full|space/i);
      spawnSync("mount", ["-o", "remount,size=64m", vault]);
      await cluster.until(
        "writes to be accepted again",
        withinMs,
        never,
        () => "",
        async () => ((await write()) ? true : undefined),
      );
      for (const id of acknowledged) expect((await fetch(`${host.dataUrl}/notes/${id}`)).status).toBe(200);
      host.process?.signal("SIGKILL");
      await host.process?.ended;
    });
  });
});

type Status = NonNullable<Awaited<ReturnType<Cluster["statusOf"]>>>;

/** Until the host has given up and follows again, with the time of its next try. */
function untilPutOff(cluster: Cluster, host: HostMember): Promise<NonNullable<Status["retry"]>> {
  let last = "";
  return cluster.until(
    `${host.id} to give up`,
    withinMs,
    never,
    () => last,
    async () => {
      const status = await cluster.statusOf(host);
      last = JSON.stringify(status);
      return status?.role === "secondary" ? (status.retry ?? undefined) : undefined;
    },
  );
}
