/** Files beside the database fail over with it: real processes, and the primary killed. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, never, openBench } from "../harness.ts";
import { FilesClient, filesApplication, filesKeys } from "./client.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(90_000);

const wholeWithinMs = 30_000;
let bench: Bench;
afterEach(() => bench.close());

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("uploads that were acknowledged are there bit for bit after kill -9 of the primary, deleted ones are not, and the application starts on the second host with its key and migrations file", async () => {
  bench = openBench();
  const cluster = await bench.cluster({ application: filesApplication, service: "files", hostKeys: filesKeys });
  const members = [...cluster.gateways, ...cluster.hosts];
  await Promise.all(members.map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(wholeWithinMs, never);
  const client = new FilesClient(cluster.gateways[0]?.url ?? "");

  const session = await client.session();
  const contents = new Map<string, string>();
  for (const [id, size] of [
    ["aa-empty", 0],
    ["aa-small", 1000],
    ["bb-pieces", 700_001],
    ["cc-large", 45_000_000],
  ] as const) {
    const bytes = randomBytes(size);
    contents.set(id, hashOf(bytes));
    expect(await client.call("PUT", `/uploads/${id}`, bytes)).toBe(201);
  }
  expect(await client.call("PUT", "/uploads/dd-deleted", "gone")).toBe(201);
  expect(await client.call("DELETE", "/uploads/dd-deleted")).toBe(200);
  expect(await client.call("PUT", "/albums/summer/a", "in a folder")).toBe(201);
  expect(await client.call("POST", "/albums/summer/winter")).toBe(200);
  expect(await client.call("POST", "/move/cc-large")).toBe(200);

  first.process?.signal("SIGKILL");
  await first.process?.ended;
  const { rows, others } = await client.everything().catch((error: unknown) => {
    throw new Error(cluster.logTails(), { cause: error });
  });
  expect(new Map(rows.map(({ id, found }) => [id, found ?? ""]))).toEqual(contents);
  expect(others).toEqual(["albums/winter/a"]);
  expect(await client.isKnown(session)).toBe(true);

  const second = cluster.hosts.find((host) => host !== first);
  const key = join(second?.folder ?? "", "data/secrets/session.key");
  expect([statSync(key).mode & 0o777, statSync(join(key, "..")).mode & 0o777]).toEqual([0o600, 0o700]);

  // The former primary comes back and gets what the second one wrote.
  expect(await client.call("PUT", "/uploads/ee-second", "by the second")).toBe(201);
  await cluster.start(first);
  await cluster.whenWhole(wholeWithinMs, never);
  second?.process?.signal("SIGKILL");
  await second?.process?.ended;
  contents.set("ee-second", hashOf(Buffer.from("by the second")));
  expect(new Map((await client.everything()).rows.map(({ id, found }) => [id, found ?? ""]))).toEqual(contents);
  expect(readFileSync(join(first.folder, "data/.migrate"), "utf8")).toContain("001-uploads");
});

test("files of a service that runs without them fail over once its primary has begun with them, and nothing is lost on the way", async () => {
  bench = openBench();
  const cluster = await bench.cluster({ application: filesApplication, service: "files", hostKeys: "" });
  await Promise.all([...cluster.gateways, ...cluster.hosts].map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(wholeWithinMs, never);
  const second = cluster.hosts.find((host) => host !== first);
  if (second === undefined) throw new Error("the cluster has one host");
  const client = new FilesClient(cluster.gateways[0]?.url ?? "");
  const content = randomBytes(300_000);
  expect(await client.call("PUT", "/uploads/aa-before", content)).toBe(201);

  // As OPERATIONS.md says: the patterns on all hosts, the secondaries stopped, the primary restarted, then the others.
  for (const { configFile } of [first, second]) {
    const text = readFileSync(configFile, "utf8");
    writeFileSync(configFile, text.replace("[host]\n", `[host]\n${filesKeys}`));
    expect(readFileSync(configFile, "utf8")).toContain(filesKeys);
  }
  for (const host of [second, first]) {
    host.process?.signal("SIGTERM");
    await host.process?.ended;
  }
  await cluster.start(first);
  expect(await client.call("PUT", "/uploads/bb-after", "after")).toBe(201);
  await cluster.start(second);
  await cluster.whenWhole(wholeWithinMs, never);
  expect(existsSync(join(second.folder, "data/.migrate"))).toBe(true);

  first.process?.signal("SIGKILL");
  await first.process?.ended;
  const { rows } = await client.everything().catch((error: unknown) => {
    throw new Error(cluster.logTails(), { cause: error });
  });
  expect(new Map(rows.map(({ id, found }) => [id, found ?? ""]))).toEqual(
    new Map([
      ["aa-before", hashOf(content)],
      ["bb-after", hashOf(Buffer.from("after"))],
    ]),
  );
});
