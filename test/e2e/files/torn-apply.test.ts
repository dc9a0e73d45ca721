/** A secondary that is killed while it applies files has them whole afterwards; a restore and verification agree. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type Bench, never, openBench, runStead } from "../harness.ts";
import { FilesClient, filesApplication, filesKeys } from "./client.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(180_000);

const wholeWithinMs = 60_000;
const kills = 5;
let bench: Bench;
afterEach(() => bench.close());

/** Everything that `filesKeys` covers below a data folder: mode, and content, target or nothing. */
function stateOf(data: string): Record<string, string> {
  const state: Record<string, string> = {};
  const add = (path: string): void => {
    const stats = lstatSync(join(data, path), { throwIfNoEntry: false });
    if (stats === undefined) return;
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isSymbolicLink()) state[path] = `-> ${readlinkSync(join(data, path))}`;
    else if (stats.isDirectory()) {
      state[path] = mode;
      for (const name of readdirSync(join(data, path))) add(`${path}/${name}`);
    } else {
      const hash = createHash("sha256")
        .update(readFileSync(join(data, path)))
        .digest("hex");
      state[path] = `${mode} ${stats.size} ${hash}`;
    }
  };
  for (const top of ["uploads", ".migrate", "secrets"]) add(top);
  return state;
}

test("a secondary killed in the middle of applying files has every file whole and byte for byte; a restore and verification agree", async () => {
  bench = openBench();
  const cluster = await bench.cluster({ application: filesApplication, service: "files", hostKeys: filesKeys });
  const members = [...cluster.gateways, ...cluster.hosts];
  await Promise.all(members.map((member) => cluster.start(member)));
  const primary = await cluster.whenWhole(wholeWithinMs, never);
  const secondary = cluster.hosts.find((host) => host !== primary);
  if (secondary === undefined) throw new Error("no second host");
  const client = new FilesClient(cluster.gateways[0]?.url ?? "");

  let isOver = false;
  let uploads = 0;
  const upload = async (lane: number): Promise<void> => {
    for (let count = 0; !isOver; count++) {
      const id = `${lane}-${count % 20}`;
      expect(await client.call("PUT", `/uploads/${id}`, randomBytes(1000 + ((count * 977) % 9) * 150_000))).toBe(201);
      if (count % 5 === 4) expect(await client.call("DELETE", `/uploads/${id}`)).toBe(200);
      if (count % 7 === 6) await client.call("POST", `/move/${lane}-${(count - 1) % 20}`);
      uploads += 1;
    }
  };
  const lanes = [0, 1].map(upload);
  for (let kill = 0; kill < kills; kill++) {
    const before = uploads;
    await cluster.until(
      "uploads while the secondary follows",
      wholeWithinMs,
      never,
      () => `${uploads}`,
      () => Promise.resolve(uploads >= before + 5 ? true : undefined),
    );
    secondary.process?.signal("SIGKILL");
    await secondary.process?.ended;
    await cluster.start(secondary);
    await cluster.whenWhole(wholeWithinMs, never);
  }
  isOver = true;
  await Promise.all(lanes);

  const position = (await cluster.statusOf(primary))?.position ?? Infinity;
  const caughtUp = async (): Promise<true | undefined> =>
    ((await cluster.statusOf(secondary))?.position ?? 0) >= position ? true : undefined;
  await cluster.until("the secondary", wholeWithinMs, never, () => "it is behind", caughtUp);
  const expected = stateOf(join(primary.folder, "data"));
  expect(Object.keys(expected).length).toBeGreaterThan(20);
  expect(stateOf(join(secondary.folder, "data"))).toEqual(expected);

  const stead = (...args: string[]) =>
    runStead([...args, "--config", primary.configFile, "--json"], { withinMs: 60_000 });
  const verified = await stead("vault", "verify");
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true });
  const restored = await stead("vault", "restore", "--to", join(bench.folder, "restored"));
  expect(restored.stderr).toBe("");
  expect((JSON.parse(restored.stdout) as { files: { count: number } }).files.count).toBe(Object.keys(expected).length);
  expect(stateOf(join(bench.folder, "restored"))).toEqual(expected);
});
