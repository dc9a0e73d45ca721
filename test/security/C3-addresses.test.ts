/**
 * Attacks C3, C4 and D4: one push of rows to a gateway registers hosts and gateways at `file:///…`, at addresses with
 * credentials, or at `https:`, which nothing here speaks. Each probe of such a host ended with an uncaught exception,
 * and each row of a gateway that does not exist raised the majority, for good and on all gateways.
 *
 * Rule: there is one schema for addresses (src/core/base-url.ts), for rows, calls, flags, reports and configuration. A
 * row with another address is refused alone, and named. A gateway counts for a majority once it was met
 * (gateway/peers/membership.ts), and from then on until it is removed, dead or not.
 */
import { afterEach, expect, test } from "bun:test";
import { createClient } from "@libsql/client";
import { join } from "node:path";
import * as v from "valibot";
import { parseUrl } from "../../src/cli/commands/gateway-connection.ts";
import { parseConfig } from "../../src/config/load.ts";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { anyOf } from "../../src/control/channel/transcript.ts";
import { callJson } from "../../src/control/json-call.ts";
import { peerFormat, type PeerMessage } from "../../src/control/peer-api.ts";
import { hostStatusSchema } from "../../src/control/host-status.ts";
import { PeerClient } from "../../src/gateway/peers/peer-client.ts";
import { predecessorProbe } from "../../src/host/primary/predecessor.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { freePorts } from "../../src/runtime/free-ports.ts";
import { secret, TestCluster, until } from "../support/gateway/cluster.ts";

const bad = [
  "file:///etc/passwd",
  "https://127.0.0.1:9",
  "http://user:word@127.0.0.1:9",
  "http://127.0.0.1:9/v1",
  "unix:/run/x",
  "",
  "\u0000",
];

const undo: (() => unknown)[] = [];
const uncaught: unknown[] = [];
const onUncaught = (error: unknown): void => void uncaught.push(error);
process.on("unhandledRejection", onUncaught);
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
  expect(uncaught.splice(0)).toEqual([]);
});

function newCluster(): TestCluster {
  const cluster = new TestCluster();
  undo.push(() => cluster.stop());
  return cluster;
}

const stamp = (): string => `${String(systemClock.wallTime()).split(".")[0]?.padStart(15, "0")}-00000000`;
type Row = PeerMessage["rows"][number];
const host = (seq: number, id: string, url: string): Row => [
  ...(["hosts", "evil~1", seq, stamp(), 0] as const),
  ["notes", id, url, "operator"],
];
const gateway = (seq: number, id: string, url: string): Row => [
  ...(["gateways", "evil~1", seq, stamp(), 0] as const),
  [id, url, 1],
];
const epoch = (seq: number, url: string): Row => [
  ...(["epochs", "evil~1", seq, stamp(), 0] as const),
  ["notes", seq, "a", url, 1],
];

/** As another gateway would. */
async function push(adminUrl: string, rows: PeerMessage["rows"]): Promise<void> {
  const client = new PeerClient(adminUrl, secret, systemClock);
  const message: PeerMessage = {
    format: peerFormat,
    from: { id: "evil", origin: "evil~1", adminUrl: "http://127.0.0.1:9", registered: null, leaving: true },
    ...{ vector: null, known: 0, push: { since: 0, upTo: rows.length }, after: null, next: null, rows, views: [] },
    tables: {
      hosts: ["service", "id", "control_url", "source"],
      gateways: ["id", "admin_url", "started_at_ms"],
      epochs: ["service", "epoch", "host", "data_url", "first_seen_at_ms"],
    },
  };
  const answer = await client.sync(message, 2_000, new AbortController().signal);
  client.close();
  expect(answer.kind).toBe("ok");
}

async function startGateway(cluster: TestCluster, id = "g1", peers: readonly string[] = []) {
  const [port = 0] = await freePorts(1);
  const adminUrl = `http://127.0.0.1:${port}`;
  const started = await cluster.startGateway({ id, adminUrl, adminListen: { host: "127.0.0.1", port }, peers });
  return { gateway: started, adminUrl };
}

async function get(adminUrl: string, path: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${adminUrl}${path}`, { headers: { authorization: `Bearer ${secret}` } });
  return (await answer.json()) as Record<string, unknown>;
}
const counting = async (adminUrl: string) => (await get(adminUrl, "/v1/gateways"))["registered"];
test("rows with an address that nothing here calls are refused alone and named; no probe throws", async () => {
  const cluster = newCluster();
  const { gateway: started, adminUrl } = await startGateway(cluster);
  let seq = 0;
  const rows = bad.flatMap((url) => [
    host(++seq, `h${seq}`, url),
    gateway(++seq, `g${seq}`, url),
    ...(url === "" ? [] : [epoch(++seq, url)]),
  ]);
  await push(adminUrl, [...rows, host(++seq, "good", "http://127.0.0.1:9")]);
  await until(() => started.hostList().hosts.some(({ id }) => id === "good"));
  // The probes of the good host come after those of any other would have begun.
  await until(() => started.status().services[0]?.hosts.find(({ id }) => id === "good")?.health === "down");
  expect(started.hostList().hosts.map(({ id }) => id)).toEqual(["good"]);
  const { troubles } = started.status();
  expect(troubles.join()).toContain('hosts notes/h1, written by evil~1, has "file:///etc/passwd" as its control_url');
  expect(troubles.join()).toContain("accepted: http://host:port without a path");
  expect(await counting(adminUrl)).toBe(1);
}, 20_000);

test("gateways that do not exist raise no majority, also not after a restart", async () => {
  const cluster = newCluster();
  const { gateway: first, adminUrl } = await startGateway(cluster);
  await push(
    adminUrl,
    Array.from({ length: 20 }, (_, n) => gateway(n + 1, `ghost${n}`, `http://127.0.0.1:${n + 1}`)),
  );
  expect(await counting(adminUrl)).toBe(1);
  const listed = (await get(adminUrl, "/v1/gateways"))["gateways"] as readonly { id: string; trouble: string | null }[];
  const ghost = listed.find(({ id }) => id === "ghost7");
  expect(ghost?.trouble).toContain("it was never met and does not count for a majority");
  expect(ghost?.trouble).toContain("stead gateways remove ghost7");
  await first.close(0);
  const again = await startGateway(cluster);
  expect(await counting(again.adminUrl)).toBe(1);
}, 20_000);

test("a gateway that was met counts although it is dead, also after a restart, until it is removed", async () => {
  const [one, two] = [newCluster(), newCluster()];
  const first = await startGateway(one);
  const second = await startGateway(two, "g2", [first.adminUrl]);
  await until(async () => (await counting(first.adminUrl)) === 2 && (await counting(second.adminUrl)) === 2);
  await two.stop();
  expect(await counting(first.adminUrl)).toBe(2);
  await first.gateway.close(0);
  const again = await startGateway(one);
  expect(await counting(again.adminUrl)).toBe(2);
  const removed = await fetch(`${again.adminUrl}/v1/gateways/g2`, {
    ...{ method: "DELETE", headers: { authorization: `Bearer ${secret}` } },
  });
  expect([removed.status, await counting(again.adminUrl)]).toEqual([200, 1]);
}, 20_000);

test("a row that an earlier version stored is dropped and named at the start", async () => {
  const cluster = newCluster();
  const first = await startGateway(cluster);
  await first.gateway.close(0);
  const client = createClient({ url: `file:${join(cluster.folder, "gateway.db")}` });
  await client.execute(
    `INSERT INTO t_hosts (service, id, control_url, source, origin, seq, hlc, deleted) VALUES ('notes', 'old', 'file:///x', 'operator', 'g1~0', 1, '${stamp()}', 0)`,
  );
  client.close();
  const { gateway: again } = await startGateway(cluster);
  expect(again.hostList().hosts).toEqual([]);
  expect(again.status().troubles.join()).toContain(
    'hosts notes/old of the database has "file:///x" as its control_url',
  );
}, 20_000);

test("calls, flags, the environment and the configuration take the same addresses", async () => {
  const cluster = newCluster();
  const { gateway: started, adminUrl } = await startGateway(cluster);
  for (const controlUrl of bad) {
    const answer = await fetch(`${adminUrl}/v1/hosts`, {
      ...{ method: "POST", headers: { authorization: `Bearer ${secret}` } },
      body: JSON.stringify({ id: "x", controlUrl }),
    });
    expect([controlUrl, answer.status]).toEqual([controlUrl, 400]);
    expect(() => parseUrl(controlUrl)).toThrow();
    const file = `[cluster]\nsecret = "${secret}"\n[gateway]\nid = "g"\nlisten = "127.0.0.1:1"\nadvertise_admin = ${JSON.stringify(controlUrl)}\npeers = [${JSON.stringify(controlUrl)}]\ndatabase = "g.db"\n`;
    const parsed = parseConfig("/etc/stead/stead.toml", file, { env: {} });
    const keys = parsed.kind === "ok" ? [] : parsed.problems.map(({ key }) => key);
    expect([controlUrl, keys]).toEqual([controlUrl, ["gateway.advertise_admin", "gateway.peers[0]"]]);
  }
  expect(started.hostList().hosts).toEqual([]);
  expect(parseUrl("127.0.0.1:7700")).toBe("http://127.0.0.1:7700");
}, 20_000);

test("a host's report with such an address is not one, and a call to such an address is a failure and no exception", async () => {
  const addresses = { dataUrl: hostStatusSchema.entries.dataUrl, controlUrl: hostStatusSchema.entries.controlUrl };
  for (const url of bad) {
    for (const schema of Object.values(addresses)) expect([url, v.is(schema, url)]).toEqual([url, false]);
    const call = { method: "GET", path: "/v1/status", timeoutMs: 200 } as const;
    const channel = ChannelClient.ofOperator(secret, systemClock);
    const answer = await callJson({ baseUrl: url, caller: channel, to: anyOf("host"), clock: systemClock }, call);
    expect([url, answer.kind === "answer"]).toEqual([url, false]);
    const ask = predecessorProbe({
      channel,
      clock: systemClock,
      service: "notes",
      ownControlUrl: "http://127.0.0.1:1",
    }).ask;
    const predecessor = { host: "a", instance: "i", controlUrl: url } as Parameters<typeof ask>[0];
    const word = await ask(predecessor, new AbortController().signal);
    expect([url, word.kind]).toEqual([url, "unknown"]);
  }
});
