import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localDatabases } from "../../../src/capture/local-state.ts";
import { Replica } from "../../../src/capture/replica.ts";
import type { DatabaseChecksum } from "../../../src/core/delta.ts";
import { allRules } from "../../../src/core/rules.ts";
import { LocalData, type LocalPort } from "../../../src/host/secondary/local-data.ts";
import type { Shortage } from "../../../src/host/secondary/local-room.ts";
import { freshMemory, RestoreRoom } from "../../../src/host/secondary/restore-room.ts";
import { restore, type RestoreOptions } from "../../../src/host/secondary/restorer.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { canMount } from "../../e2e/mounts.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { claimAs, logIn, Pages, pageSize, zeros } from "../../support/host/log-fixture.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function bytesBelow(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true, withFileTypes: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
    0,
  );
}

const databaseSize = 100 * pageSize;

/** A vault with a database of 100 pages, and a host whose folders are on one disk of a size. */
async function make({ capacity, otherDisk = [] }: { capacity: number; otherDisk?: readonly string[] }) {
  const store = new MemoryStore();
  const pages = new Pages("a.db");
  pages.change(Object.fromEntries(Array.from({ length: 100 }, (_, index) => [index + 1, index])));
  await writeCheckpoint({ store, position: 0, hash: zeros, epoch: 0, wallTimeMs: 0, databases: [pages.snapshot()] });
  const writer = await claimAs(store, "b");
  const root = mkdtempSync(join(tmpdir(), "stead-room-"));
  folders.push(root);
  const [data, state] = [join(root, "data"), join(root, "data.stead")];
  const aside = join(state, "set-aside");
  const disk = { capacity };
  const isElsewhere = (folder: string): boolean => otherDisk.some((name) => folder.startsWith(join(root, name)));
  const space = {
    free: () => Promise.resolve(disk.capacity - bytesBelow(root)),
    device: (folder: string) =>
      Promise.resolve(existsSync(folder) ? (isElsewhere(folder) ? 2 : folder.startsWith(root) ? 1 : 0) : undefined),
  };
  const removed: string[] = [];
  const bounds = {
    keep: 20,
    bytesMax: 1e12,
    onRemoved: (folder: string) => removed.push(folder),
    onWarning: (text: string) => removed.push(text),
  };
  const sums = { previous: undefined as DatabaseChecksum | undefined };
  const local = new LocalData(
    { dataFolder: data, stateFolder: state, setAsideFolder: aside },
    { find: localDatabases(["*.db"]).find, committedChecksum: () => Promise.resolve(sums.previous) },
    bounds,
    { disk: space },
  );
  await local.prepare();
  const warnings: string[] = [];
  const memory = freshMemory();
  const options: RestoreOptions<Replica> = {
    ...{
      store,
      log: logIn(store),
      clock: systemClock,
      rules: allRules,
      local,
      openTarget: () => Replica.open({ root: data }),
      localChunk: () => Promise.resolve(undefined),
      memory,
    },
    ...{
      onVaultFailure: (text) => warnings.push(text),
      onWarning: (text) => warnings.push(text),
      onRecord: () => undefined,
      signal: new AbortController().signal,
    },
  };
  const run = async (): Promise<string | undefined> => {
    const restored = await restore(options);
    await restored.target.close();
    return restored.setAside?.folder;
  };
  const content = () => readFileSync(join(data, "a.db")).equals(Buffer.concat(pages.contents));
  const setAside = (name: string, bytes: number): string => {
    mkdirSync(join(aside, name), { recursive: true });
    writeFileSync(join(aside, name, "a.db"), Buffer.alloc(bytes));
    return join(aside, name);
  };
  return {
    store,
    pages,
    writer,
    root,
    data,
    state,
    aside,
    disk,
    sums,
    local,
    warnings,
    removed,
    options,
    run,
    content,
    setAside,
  };
}

describe("a restore for which there is no room", () => {
  test("says how many bytes are missing on which disk before it writes any, and continues when they are there", async () => {
    const { disk, data, root, run, content } = await make({ capacity: 10_000 });
    const failure = await failureOf(run());
    // What the note takes is in use as well.
    const free = 10_000 - bytesBelow(root);
    expect(failure).toMatchObject({
      name: "FullDiskError",
      message: `the disk at ${root} is too full to restore: the databases need ${databaseSize} bytes, ${free} are free, ${databaseSize - free} are missing`,
      advice: "free that much there, and this host continues by itself",
    });
    expect(readdirSync(data)).toEqual([]);
    disk.capacity = databaseSize + 10_000;
    await run();
    expect(content()).toBe(true);
  });

  test("is one only if a byte is missing", async () => {
    const { disk, local, root } = await make({ capacity: 10_000 });
    const free = 10_000 - bytesBelow(root);
    expect(await local.room.shortageOf(free)).toBeUndefined();
    expect(await local.room.shortageOf(free + 1)).toMatchObject({ neededBytes: free + 1, freeBytes: free });
    disk.capacity += 1;
    expect(await local.room.shortageOf(free + 1)).toBeUndefined();
  });

  test("throws away even a single byte for it", async () => {
    const shortage: Shortage = {
      ...{ disk: "/data", neededBytes: 100, freeBytes: 99, previousFolder: "/previous", previousBytes: 1 },
      ...{ removableBytes: 1, setAsideFolder: "/aside", setAsideBytes: 0 },
    };
    let isShort = true;
    const local = {
      room: {
        reusableBytes: () => Promise.resolve(0),
        shortageOf: () => Promise.resolve(isShort ? shortage : undefined),
        makeRoom: () => Promise.resolve(void (isShort = false)),
      },
    };
    const room = new RestoreRoom({
      ...{ local: local as unknown as LocalPort, previous: { kind: "secondary" }, memory: freshMemory() },
      ...{ isPreviousJournaled: () => Promise.resolve(false), onWarning: () => undefined },
    });
    await room.ensure({ total: 100, databases: new Map() });
    expect(isShort).toBe(false);
  });

  test("takes over what a secondary has, and needs room only for the rest", async () => {
    const { data, disk, local, root, run, content, options } = await make({ capacity: 1e9 });
    writeFileSync(join(data, "a.db"), Buffer.alloc(databaseSize - 1_000));
    const { ino } = statSync(join(data, "a.db"));
    await local.mark({ kind: "secondary" });
    disk.capacity = bytesBelow(root) + 900;
    expect(await failureOf(run())).toMatchObject({
      message: expect.stringContaining(
        `the databases need ${databaseSize} bytes, ${databaseSize - 1_000} of them are here already, `,
      ),
      advice: "free that much there, and this host continues by itself",
    });
    disk.capacity += 300;
    const openTarget = (): Promise<Replica> =>
      Replica.open({ root: data, formerFile: (name) => local.formerDatabase(name) });
    const { target } = await restore({ ...options, openTarget });
    await target.close();
    expect(content()).toBe(true);
    expect(statSync(join(data, "a.db")).ino).toBe(ino);
  });

  test("counts nothing of what cannot be taken over: a file with another name, and a link", async () => {
    const { data, root, local } = await make({ capacity: 1e9 });
    const databases = new Map(["a.db", "b.db", "c.db"].map((name) => [name, 2_000]));
    for (const name of ["a.db", "b.db", "elsewhere"]) writeFileSync(join(data, name), Buffer.alloc(1_000));
    linkSync(join(data, "b.db"), join(root, "b"));
    symlinkSync(join(data, "elsewhere"), join(data, "c.db"));
    await local.mark({ kind: "secondary" });
    await local.moveAway();
    expect(await local.room.reusableBytes({ databases })).toBe(1_000);
  });

  test.skipIf(!canMount)("counts nothing of what is on the same disk, but mounted by itself", async () => {
    const { data, state, local } = await make({ capacity: 1e9 });
    expect(spawnSync("mount", ["--bind", state, state]).status).toBe(0);
    try {
      writeFileSync(join(data, "a.db"), Buffer.alloc(1_000));
      await local.mark({ kind: "secondary" });
      await local.moveAway();
      expect(await local.room.reusableBytes({ databases: new Map([["a.db", 1_000]]) })).toBe(0);
    } finally {
      spawnSync("umount", ["-l", state]);
    }
  });

  test("throws away what a secondary has kept as a help for it", async () => {
    const { data, local, run, content } = await make({ capacity: databaseSize + 10_000 });
    writeFileSync(join(data, "removed-since.db"), Buffer.alloc(databaseSize - 1_000));
    await local.mark({ kind: "secondary" });
    await run();
    expect(content()).toBe(true);
  });

  test("keeps it where there is room for both", async () => {
    const { data, local, options, content } = await make({ capacity: 3 * databaseSize });
    writeFileSync(join(data, "a.db"), Buffer.alloc(databaseSize));
    await local.mark({ kind: "secondary" });
    let kept = 0;
    const restored = await restore({
      ...options,
      localChunk: () => Promise.resolve((kept = bytesBelow(local.previousFolder))).then(() => undefined),
    });
    await restored.target.close();
    expect(kept).toBeGreaterThan(databaseSize);
    expect(content()).toBe(true);
  });

  test("keeps what would not be enough all the same", async () => {
    const { data, local, run } = await make({ capacity: databaseSize });
    writeFileSync(join(data, "a.db"), Buffer.alloc(1_000));
    await local.mark({ kind: "secondary" });
    expect(await failureOf(run())).toMatchObject({ name: "FullDiskError" });
    expect(readdirSync(local.previousFolder)).toContain("a.db");
  });

  test("throws away what a primary had when its state is in the journal, and sets nothing aside", async () => {
    const { data, local, pages, sums, writer, run, content } = await make({ capacity: databaseSize + 20_000 });
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 3: 33 })] });
    sums.previous = pages.checksum();
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 4: 44 })] });
    writeFileSync(join(data, "a.db"), Buffer.alloc(databaseSize));
    await local.mark({ kind: "primary", epoch: 1 });
    expect(await run()).toBeUndefined();
    expect(content()).toBe(true);
    expect(await local.setAsides()).toEqual([]);
  });

  test("keeps what a primary had and may be nowhere else, names it, and continues when it is moved to another disk", async () => {
    const { data, root, local, sums, warnings, run, content } = await make({
      capacity: databaseSize + 20_000,
      otherDisk: ["elsewhere"],
    });
    sums.previous = new Uint8Array(16).fill(7);
    writeFileSync(join(data, "a.db"), Buffer.alloc(databaseSize));
    await local.mark({ kind: "primary", epoch: 1 });
    const looked: number[] = [];
    const checksums = local.previousChecksums.bind(local);
    local.previousChecksums = () => (looked.push(1), checksums());
    for (let tries = 0; tries < 3; tries += 1) {
      const failure = await failureOf(run());
      expect(failure).toMatchObject({
        name: "FullDiskError",
        advice: expect.stringContaining(
          `${local.previousFolder} (${databaseSize} bytes that this host had as primary, and that may exist nowhere else)`,
        ),
      });
    }
    expect(looked).toHaveLength(1); // The journal is not searched at each try.
    expect(bytesBelow(local.previousFolder)).toBeGreaterThan(databaseSize);
    renameSync(local.previousFolder, `${root}-moved`);
    folders.push(`${root}-moved`);
    await run();
    expect(content()).toBe(true);
    expect(warnings).toEqual([]);
  });

  test("removes the oldest set-aside folders when that gives enough, tells it, and never the newest", async () => {
    const { disk, root, warnings, removed, setAside, run, content, local } = await make({ capacity: 0 });
    const [first, second, third] = [
      setAside("2026-01-01", 30_000),
      setAside("2026-01-02", 30_000),
      setAside("2026-01-03", 30_000),
    ];
    disk.capacity = bytesBelow(root) + databaseSize - 20_000;
    await run();
    expect(content()).toBe(true);
    expect(await local.setAsides()).toEqual([second, third]);
    expect(removed).toEqual([first]);
    expect(warnings).toEqual([`set-aside data was removed because the restore needed the space: ${first}`]);
  });

  test("removes none when that is not enough, and says how much they hold", async () => {
    const { disk, root, aside, removed, setAside, run } = await make({ capacity: 0 });
    for (const name of ["2026-01-01", "2026-01-02"]) setAside(name, 10_000);
    disk.capacity = bytesBelow(root) + databaseSize - 20_000;
    expect(await failureOf(run())).toMatchObject({
      advice: expect.stringContaining(`${aside} (20000 bytes set aside)`),
    });
    expect(removed).toEqual([]);
  });

  test("leaves alone what is on another disk", async () => {
    const { disk, root, removed, setAside, run } = await make({ capacity: 0, otherDisk: ["data.stead"] });
    for (const name of ["2026-01-01", "2026-01-02"]) setAside(name, 90_000);
    disk.capacity = bytesBelow(root) + databaseSize - 20_000;
    expect(await failureOf(run())).toMatchObject({ advice: "free that much there, and this host continues by itself" });
    expect(removed).toEqual([]);
  });

  test("counts what the journal adds, once the disk was full in the middle of it", async () => {
    const { data, disk, pages, writer, options, run } = await make({ capacity: databaseSize + 10_000 });
    const more = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [index + 101, index]));
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change(more)] });
    const openFull = async (): Promise<Replica> => {
      const replica = await Replica.open({ root: data });
      replica.apply = () =>
        Promise.reject(
          Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", errno: -28 }),
        );
      return replica;
    };
    expect(await failureOf(restore({ ...options, openTarget: openFull }))).toMatchObject({
      name: "FullDiskError",
      message: expect.stringContaining("ENOSPC"),
    });
    // Others on this machine have room again.
    expect(existsSync(join(data, "a.db"))).toBe(false);
    expect(await failureOf(run())).toMatchObject({
      message: expect.stringContaining(`the databases need ${2 * databaseSize} bytes`),
    });
    disk.capacity = 2 * databaseSize + 10_000;
    await run();
    expect(readFileSync(join(data, "a.db")).equals(Buffer.concat(pages.contents))).toBe(true);
  });
});
