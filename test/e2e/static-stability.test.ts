/**
 * Everything that a gateway relies on is taken from it at once, on real processes: its disk is full (a small file
 * system in a mount namespace of its own), its peers are dead, and no control API answers.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GatewayClient } from "../../src/control/gateway-client.ts";
import type { ClusterStatus } from "../../src/control/gateway-api.ts";
import type { Cluster, GatewayMember, MemberPlaces } from "../../harness/cluster.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { ControlRelay } from "./control-relay.ts";
import { type Bench, never, openBench } from "./harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const withinMs = 30_000;
const missing = missingForSmallDisks();
if (missing !== undefined) console.log(`skipped, a gateway with a full disk: ${missing}`);

let bench: Bench;
const relays: ControlRelay[] = [];
afterEach(async () => {
  await bench.close();
  await Promise.all(relays.splice(0).map((relay) => relay.close()));
});

function missingForSmallDisks(): string | undefined {
  if (process.platform !== "linux") return "mount namespaces exist on Linux only";
  if (process.getuid?.() !== 0) return "it needs root to mount a small file system";
  const tried = spawnSync(
    "unshare",
    ["-m", "--propagation", "private", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"],
    { encoding: "utf8" },
  );
  if (tried.error !== undefined) return "not installed: unshare (package util-linux)";
  return tried.status === 0 ? undefined : `the kernel refuses it: ${tried.stderr.trim().split("\n")[0] ?? ""}`;
}

/**
 * All members on the loopback interface; the first gateway with a file system of 2 MiB at `disk`, which ends with its
 * process.
 */
function placesOf(folder: string, disk: string): MemberPlaces {
  const mountThenRun = 'mount -t tmpfs -o size=2m none "$0" && exec "$@"';
  const vault = join(folder, "vault");
  return {
    addressOf: () => "127.0.0.1",
    vaultOf: () => vault,
    vault,
    commandOf: (id, command) =>
      id === "gateway-1"
        ? ["unshare", "-m", "--propagation", "private", "sh", "-c", mountThenRun, disk, ...command]
        : command,
  };
}

async function begin(disk: string): Promise<{ cluster: Cluster; gateway: GatewayMember; peers: GatewayMember[] }> {
  const cluster = await bench.cluster({ gateways: 3, places: placesOf(bench.folder, disk) });
  const [gateway, ...peers] = cluster.gateways;
  if (gateway === undefined) throw new Error("there is no gateway");
  relays.push(...(await Promise.all(cluster.hosts.map(({ controlUrl }) => ControlRelay.before(controlUrl)))));
  for (const { id, configFile } of cluster.gateways) {
    let text = readFileSync(configFile, "utf8");
    cluster.hosts.forEach(({ controlUrl }, index) => (text = text.replaceAll(controlUrl, relays[index]?.url ?? "")));
    if (id === gateway.id) text = text.replace('"gateway.db"', JSON.stringify(join(disk, "gateway.db")));
    writeFileSync(configFile, text);
  }
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(withinMs, never);
  return { cluster, gateway, peers };
}

/** Takes all the space that is left on the gateway's own file system; returns what gives it back. */
function fill(gateway: GatewayMember, disk: string): () => void {
  const ballast = join("/proc", String(gateway.process?.pid), "root", disk, "ballast");
  const { bavail, bsize } = statfsSync(join(ballast, ".."));
  try {
    writeFileSync(ballast, Buffer.alloc(bavail * bsize));
  } catch (error) {
    // The gateway wrote meanwhile: it is full a little sooner.
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  expect(statfsSync(join(ballast, "..")).bavail).toBe(0);
  return () => rmSync(ballast);
}

test.skipIf(missing !== undefined)(
  "a gateway with its database on a full disk, its peers gone and every control API blocked keeps routing, and says so",
  async () => {
    bench = openBench();
    const disk = bench.subfolder("disk");
    const { cluster, gateway, peers } = await begin(disk);
    const client = new GatewayClient(gateway.adminUrl, cluster.secret, systemClock);
    const status = async (): Promise<ClusterStatus> => {
      const answer = await client.cluster();
      if (answer.kind !== "ok") throw new Error(`the gateway does not tell its status: ${JSON.stringify(answer)}`);
      return answer.value;
    };
    const until = (what: string, look: (now: ClusterStatus) => boolean): Promise<ClusterStatus> =>
      cluster.until(
        what,
        withinMs,
        never,
        () => "it does not come",
        async () => {
          const now = await status();
          return look(now) ? now : undefined;
        },
      );
    const metric = async (name: string): Promise<string[]> => {
      const answer = await fetch(`${gateway.adminUrl}/metrics`, {
        headers: { authorization: `Bearer ${cluster.secret}` },
      });
      return (await answer.text())
        .split("\n")
        .filter((line) => line.startsWith(name))
        .map((line) => line.split(" ").at(-1) ?? "");
    };
    const write = async (): Promise<number> =>
      (
        await fetch(`${gateway.url}/notes`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: '{"text":"x"}',
        })
      ).status;
    // The cluster is whole as soon as one gateway says so; this one may be starting still.
    await cluster.until(
      "the gateway to listen",
      withinMs,
      never,
      () => "it does not answer",
      async () => ((await client.cluster()).kind === "ok" ? true : undefined),
    );
    await until(
      "the gateway to serve, with its peers",
      ({ services, gateways }) => services[0]?.phase === "serving" && gateways.every(({ trouble }) => trouble === null),
    );
    const primary = (await status()).services[0]?.primary;

    const giveBack = fill(gateway, disk);
    for (const peer of peers) peer.process?.signal("SIGKILL");
    for (const relay of relays) relay.silence();
    const alone = await until("the gateway to be alone", ({ services, database, gateways }) => {
      return (
        services[0]?.phase === "down" &&
        database.trouble !== null &&
        gateways.every(({ self, trouble }) => self || trouble !== null)
      );
    });
    const [service] = alone.services;
    expect(service).toMatchObject({
      primary,
      routedTo: primary,
      reason: expect.stringContaining("no host can take over") as string,
    });
    expect(alone.troubles.join("\n")).toContain(alone.database.trouble ?? "no trouble");
    expect(alone.database.trouble).toMatch(/full|disk/i);
    const answers = await Promise.all(Array.from({ length: 20 }, write));
    expect(new Set(answers)).toEqual(new Set([201]));
    expect(await metric("stead_database_ok")).toEqual(["0"]);
    expect(await metric("stead_serving")).toEqual(["0"]);
    expect(await metric("stead_routed")).toEqual(["1"]);
    expect(await metric("stead_peer_ok")).toEqual(["0", "0"]);
    expect(await metric("stead_host_up")).toEqual(["0", "0"]);

    giveBack();
    for (const relay of relays) relay.speak();
    await Promise.all(peers.map((peer) => cluster.start(peer)));
    const whole = await until("the gateway to be whole again", ({ services, database, gateways }) => {
      return (
        services[0]?.phase === "serving" &&
        database.trouble === null &&
        gateways.every(({ trouble }) => trouble === null)
      );
    });
    expect(whole.services[0]).toMatchObject({ primary, epoch: service?.epoch });
    // The first promotion may be in the history: a gateway orders it if it looks before the host has claimed by itself.
    const later = whole.services[0]?.failovers.filter(({ kind, outcome }) => outcome === "done" && kind !== "first");
    expect(later).toEqual([]);
    expect(await write()).toBe(201);
  },
);
