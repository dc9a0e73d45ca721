import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { peerFormat, type PeerMessage } from "../../../src/control/peer-api.ts";
import { PeerClient } from "../../../src/gateway/peers/peer-client.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { secret, until } from "../../support/gateway/cluster.ts";
import { TestGateways } from "../../support/gateway/gateways.ts";

let cluster: TestGateways;
beforeEach(() => {
  cluster = new TestGateways();
});
afterEach(() => cluster.stop());

async function three(): Promise<void> {
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  const first = await cluster.add("g1", []);
  // g3 is told of g2 only, and learns of g1 from it.
  const second = await cluster.add("g2", [first]);
  await cluster.add("g3", [second]);
  await cluster.together(3);
}
const ids = ["g1", "g2", "g3"] as const;
const hostsOf = async (id: string) => {
  const list = await cluster.at(id).client.hosts();
  return list.kind === "ok" ? list.value.hosts.map((host) => `${host.id}:${host.priority ?? "-"}`).sort() : [];
};
const removeDatabase = (path: string): void => {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
};

test("what is changed through one gateway holds on all: hosts, pause, and the next change through another", async () => {
  await three();
  await cluster.at("g1").client.addHost({ id: "x", controlUrl: "http://127.0.0.1:9", priority: 1 });
  await until(async () => (await Promise.all(ids.map((id) => hostsOf(id)))).every((hosts) => hosts.includes("x:1")));
  await cluster.at("g3").client.addHost({ id: "x", controlUrl: "http://127.0.0.1:9", priority: 7 });
  await cluster.at("g2").client.pause({});
  await until(async () => (await Promise.all(ids.map((id) => hostsOf(id)))).every((hosts) => hosts.includes("x:7")));
  await until(async () =>
    (await Promise.all(ids.map((id) => cluster.at(id).service()))).every((service) => service?.paused === true),
  );
  await cluster.at("g2").client.removeHost("notes", "x");
  await until(async () =>
    (await Promise.all(ids.map((id) => hostsOf(id)))).every((hosts) => !hosts.some((host) => host.startsWith("x"))),
  );
  await cluster.at("g1").client.resume({});
  await until(async () =>
    (await Promise.all(ids.map((id) => cluster.at(id).service()))).every((service) => service?.paused === false),
  );
  await cluster.sameRows();
}, 30_000);

test("a deleted database comes back from the peers, and a damaged one is set aside and comes back as well", async () => {
  await three();
  await cluster.at("g2").client.addHost({ id: "x", controlUrl: "http://127.0.0.1:9", priority: 3 });
  await cluster.at("g2").client.pause({});
  const before = await cluster.sameRows();
  expect(before).toContain('"x"');
  const [g2, g3] = [cluster.at("g2"), cluster.at("g3")];
  await Promise.all([g2.end(), g3.end()]);
  removeDatabase(g2.databasePath);
  removeDatabase(g3.databasePath);
  writeFileSync(g3.databasePath, readFileSync(new URL(import.meta.url)).subarray(0, 4096));
  await Promise.all([cluster.start("g2"), cluster.start("g3")]);
  await cluster.together(3);
  const after = await cluster.sameRows();
  expect(after).toContain('"x"');
  // The new runs assume "not paused" and "no such host"; what the peers know stands.
  expect(await hostsOf("g2")).toContain("x:3");
  expect((await g3.service())?.paused).toBe(true);
  expect(readdirSync(cluster.folder).some((name) => name.startsWith("g3.db.damaged-"))).toBe(true);
  expect((await g3.status())?.troubles.join()).toContain("set aside");
}, 30_000);

test("a gateway that was away takes over what changed meanwhile, and clocks may differ by minutes", async () => {
  await three();
  await cluster.at("g3").end("SIGTERM");
  await cluster.at("g1").client.addHost({ id: "x", controlUrl: "http://127.0.0.1:9", priority: 1 });
  await cluster.at("g2").client.removeHost("notes", "b");
  // Back with a clock ten minutes behind: what it changes is still the newest.
  await cluster.start("g3", { SKEW_MS: "-600000" });
  await cluster.together(3);
  await until(async () => (await hostsOf("g3")).join() === "a:-,x:1");
  await cluster.at("g3").client.addHost({ id: "x", controlUrl: "http://127.0.0.1:9", priority: 2 });
  await until(async () =>
    (await Promise.all(ids.map((id) => hostsOf(id)))).every((hosts) => hosts.join() === "a:-,x:2"),
  );
  await cluster.sameRows();
}, 30_000);

test("a gateway whose clock was two days ahead is refused, and taken at once when it is started again with a right one", async () => {
  await three();
  await cluster.at("g3").end("SIGTERM");
  await cluster.start("g3", { SKEW_MS: String(2 * 24 * 3600 * 1_000) });
  await cluster.at("g3").client.addHost({ id: "x", controlUrl: "http://127.0.0.1:9", priority: 1 });
  await until(async () =>
    (await cluster.at("g1").status())?.troubles.some((trouble) => trouble.includes("more than a day ahead")),
  );
  await cluster.at("g3").end("SIGTERM");
  await cluster.start("g3");
  await cluster.together(3);
  await until(async () =>
    (await Promise.all(ids.map((id) => hostsOf(id)))).every((hosts) => hosts.join().includes("x:1")),
  );
  await cluster.sameRows();
  expect((await cluster.at("g3").status())?.troubles.join()).toContain("the clock of this machine was wrong");
}, 60_000);

test("a second process with an id that is in use is refused, says so, and changes nothing", async () => {
  await three();
  const twin = await cluster.add("twin", [], []);
  await twin.end();
  cluster.configure(twin, [cluster.at("g1")], [], "g2");
  await cluster.start("twin");
  await until(async () =>
    (await twin.status())?.troubles.some(
      (trouble) => trouble.includes("refuses this gateway") && trouble.includes("g2"),
    ),
  );
  expect(await cluster.at("g1").sql("select admin_url from gateways where id = 'g2'")).toBe(
    JSON.stringify([[cluster.at("g2").adminUrl]]),
  );
  expect((await twin.status())?.gateways.filter(({ heardMsAgo, self }) => !self && heardMsAgo !== null)).toEqual([]);
  await twin.end();
  await cluster.together(3);
}, 30_000);

test("a removed gateway is forgotten by its peers, knows that it was removed, and joins again when it is restarted", async () => {
  await three();
  const answer = await cluster.at("g1").client.removeGateway("g3");
  expect(answer.kind).toBe("ok");
  await until(async () =>
    (await cluster.at("g3").status())?.troubles.some((trouble) => trouble.includes("was removed")),
  );
  await until(async () => {
    const list = await cluster.at("g2").client.gateways();
    return list.kind === "ok" && list.value.registered === 2;
  });
  expect(await cluster.at("g1").client.removeGateway("g1")).toMatchObject({ kind: "refused-by-gateway", status: 409 });
  expect(await cluster.at("g1").client.removeGateway("unregistered")).toMatchObject({
    kind: "refused-by-gateway",
    status: 404,
  });
  await cluster.at("g3").end("SIGTERM");
  await cluster.start("g3");
  await cluster.together(3);
  await cluster.sameRows();
}, 30_000);

test("rows of a newer version are not taken and not counted, its views are; a wrong secret gets nothing", async () => {
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  const gateway = await cluster.add("g1", []);
  await gateway.serving("a");
  const message: PeerMessage = {
    format: peerFormat,
    from: { id: "g9", origin: "g9~1", adminUrl: "http://127.0.0.1:9", registered: null, leaving: false },
    vector: {},
    known: 0,
    push: { since: 0, upTo: 1 },
    after: null,
    next: null,
    tables: { gateways: ["id", "admin_url", "started_at_ms", "zone"] },
    rows: [["gateways", "g9~1", 1, "000001700000000-00000000", 0, ["g9", "http://127.0.0.1:9", 1, "north"]]],
    views: [],
  };
  const client = new PeerClient(gateway.adminUrl, secret, systemClock);
  const answer = await client.sync(message, 2_000, new AbortController().signal);
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  expect(answer.message.vector?.["g9~1"]).toBeUndefined();
  expect(answer.message.known).toBe(0);
  expect(answer.message.views).toMatchObject([{ service: "notes", primary: "a", epoch: 1, sees: "up" }]);
  expect((await gateway.status())?.troubles.join()).toContain("gateways.zone");
  expect(await gateway.sql("select id from gateways")).toBe('[["g1"]]');
  // Not understood at all: refused, with the reason.
  const newer = await client.sync({ ...message, format: 2 as 1 }, 2_000, new AbortController().signal);
  expect(newer).toMatchObject({ kind: "refused", refusal: { reason: "format" } });
  client.close();
  const stranger = new PeerClient(gateway.adminUrl, "not the secret", systemClock);
  expect(await stranger.sync(message, 2_000, new AbortController().signal)).toMatchObject({
    kind: "failed",
    why: "it did not accept the cluster secret",
  });
  stranger.close();
}, 30_000);
