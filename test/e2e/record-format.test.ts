/**
 * Records of both formats on real processes: a cluster of one version writes format 2 soon after its first claim, and
 * everything reads both.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { recordFormatField } from "../../src/control/host-api.ts";
import { demoApplication } from "../../harness/applications.ts";
import { type Bench, never, openBench, runStead } from "./harness.ts";

setDefaultTimeout(90_000);

const withinMs = 30_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

test("a new cluster writes format 2 when its gateway has heard all hosts; a failover, verify and restore read both formats", async () => {
  const cluster = await bench.cluster({
    hosts: 2,
    gateways: 1,
    application: demoApplication("notes", bench.folder),
    vaultKeys: "mac",
  });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(withinMs, never);
  const write = async (text: string): Promise<boolean> =>
    fetch(`${gateway.url}/notes`, { method: "POST", body: JSON.stringify({ text }) }).then(
      ({ status }) => status === 201,
      () => false, // It does not listen yet.
    );
  await until(() => write("before"));
  await until(async () => (await cluster.statusOf(first))?.recordFormat?.writes === 2);
  expect(await write("in format 2")).toBe(true);
  first.process?.signal("SIGKILL");
  await until(async () => (await cluster.primary())?.host.id !== first.id && (await write("after the failover")));

  const vault = join(bench.folder, "vault");
  // The vault of this cluster has keys.
  const opened = [vault, "--secret-file", join(bench.folder, "secret")];
  expect((await runStead(["vault", "verify", vault])).stderr).toContain("nothing was given to open them");
  const listed = await runStead(["vault", "ls", ...opened, "--records"]);
  expect(listed.stdout).toMatch(/commit epoch \d+ host \S+ .* format 2 of stead \d+\.\d+\.\d+/);
  expect(listed.stdout).toMatch(/epoch epoch \d+ host \S+ .* lease \d+ ms$/m);
  expect((await runStead(["vault", "verify", ...opened])).code).toBe(0);
  expect((await runStead(["vault", "restore", ...opened, "--to", join(bench.folder, "restored")])).code).toBe(0);
});

test("a host that was added and does not answer yet leaves the format as it is", async () => {
  const cluster = await bench.cluster({ hosts: 1, gateways: 1, application: demoApplication("notes", bench.folder) });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(withinMs, never);
  await until(async () => (await cluster.statusOf(first))?.recordFormat?.writes === 2);
  const told: unknown[] = [];
  const silent = createServer(({ headers, socket }) => {
    // The command that adds it asks too, and tells nothing.
    if (recordFormatField in headers) told.push(headers[recordFormatField]);
    socket.destroy();
  });
  try {
    await once(silent.listen(0, "127.0.0.1"), "listening");
    const { port } = silent.address() as AddressInfo;
    const added = await runStead(
      ["hosts", "add", "later", `http://127.0.0.1:${port}`, ...["--gateway", gateway.adminUrl]],
      { env: { STEAD_SECRET: cluster.secret }, cwd: bench.folder },
    );
    expect(added).toMatchObject({ code: 0 });
    await until(() => told.length >= 3);
  } finally {
    silent.close();
  }
  expect([...new Set(told)]).toEqual(["2"]);
  expect((await cluster.statusOf(first))?.recordFormat?.writes).toBe(2);
});

test("a gateway that is started again while a host is down leaves the format as it is", async () => {
  const cluster = await bench.cluster({ hosts: 2, gateways: 1, application: demoApplication("notes", bench.folder) });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(withinMs, never);
  await until(async () => (await cluster.statusOf(first))?.recordFormat?.writes === 2);
  const [other] = cluster.hosts.filter(({ id }) => id !== first.id);
  for (const member of [other, gateway]) {
    member?.process?.signal("SIGKILL");
    await member?.process?.ended;
  }
  await cluster.start(gateway);
  const write = (): Promise<boolean> =>
    fetch(`${gateway.url}/notes`, { method: "POST", body: JSON.stringify({ text: "again" }) }).then(
      ({ status }) => status === 201,
      () => false, // It does not listen yet.
    );
  await until(write);
  if (other !== undefined) await cluster.start(other);
  await cluster.whenWhole(withinMs, never);
  expect(await write()).toBe(true);
  const records = (await runStead(["vault", "ls", join(bench.folder, "vault"), "--records"])).stdout
    .split("\n")
    .filter((line) => / commit epoch /.test(line));
  const formats = records.map((line) => line.includes(" format 2 "));
  expect(formats.slice(formats.indexOf(true))).not.toContain(false);
  expect(formats.filter(Boolean).length).toBeGreaterThanOrEqual(2);
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
