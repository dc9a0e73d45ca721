/**
 * The library of the gateway's database is built on a SQLite before 3.51.3, in which a checkpoint that meets a reset of
 * the log by another connection can lose frames ("WAL-reset bug").
 *
 * Rule: one connection writes, checkpoints and starts the log over (gateway/state/replication-disk.ts). The library
 * that captures and restores customers' databases has the fix, and `stead version` tells both.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseInUseError } from "../../src/gateway/state/database-in-use.ts";
import { ReplicaDisk } from "../../src/gateway/state/replication-disk.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-wal-"));
  path = join(folder, "gateway.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const source = (name: string): string => new URL(`../../src/${name}`, import.meta.url).pathname;
const meet = (n: number) => [{ kind: "meet", gateway: `g${n}` }] as const;
/** Connections of this process: each has the log open once. */
const connections = (): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === `${path}-wal`;
    } catch {
      return false; // the descriptor of the folder itself, closed meanwhile
    }
  }).length;

test("one connection writes, however much is written at once, and no other gateway gets one", async () => {
  const { disk } = await ReplicaDisk.open(path);
  await Promise.all(Array.from({ length: 200 }, (_, n) => disk.write(meet(n), null)));
  expect(connections()).toBe(1);
  expect(ReplicaDisk.open(path)).rejects.toBeInstanceOf(DatabaseInUseError);
  expect(connections()).toBe(1);
  disk.close();
});

test("no other part opens the file for writing", () => {
  const files = readdirSync(source(""), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const opening = files.filter((name) => /\bcreateClient\(/.test(readFileSync(source(name), "utf8")));
  // The version command opens one in memory.
  expect(opening.toSorted()).toEqual(["cli/commands/version.ts", "gateway/state/replication-disk.ts"]);
});

test("the reader of operators' statements neither checkpoints nor resets, not even when it is the last to close", async () => {
  const { disk } = await ReplicaDisk.open(path);
  await disk.write(meet(1), null);
  const reads = `
    import { openReadOnly } from ${JSON.stringify(source("gateway/state/read-only-database.ts"))};
    const database = openReadOnly(${JSON.stringify(path)});
    const attempts = ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE", "DELETE FROM t_met"];
    const refused = attempts.filter((sql) => { try { database.prepare(sql).all(); return false; } catch { return true; } });
    console.log(JSON.stringify([refused.length, database.prepare("SELECT gateway FROM t_met").all()]));
    for await (const _ of process.stdin) break;
    database.close();`;
  const reader = Bun.spawn([process.execPath, "-e", reads], { stdin: "pipe", stdout: "pipe" });
  const [said] = await (async () => {
    for await (const chunk of reader.stdout) return [new TextDecoder().decode(chunk)];
    return [""];
  })();
  expect(JSON.parse(said ?? "")).toEqual([3, [{ gateway: "g1" }]]);
  const before = statSync(`${path}-wal`).size;
  expect(before).toBeGreaterThan(0);
  disk.close();
  await reader.stdin.write("close\n");
  await reader.stdin.end();
  expect(await reader.exited).toBe(0);
  expect(statSync(`${path}-wal`).size).toBe(before);
}, 20_000);

test("the library that captures has the fix", () => {
  const ran = Bun.spawnSync([process.execPath, source("main.ts"), "version", "--json"]);
  const { sqlite, libsql } = JSON.parse(ran.stdout.toString()) as { sqlite: string; libsql: string };
  const numberOf = (version: string): number =>
    version.split(".").reduce((number, part) => number * 1_000 + Number(part), 0);
  expect(numberOf(sqlite)).toBeGreaterThanOrEqual(3_051_003);
  expect(libsql).toMatch(/^3\.\d+\.\d+$/);
});
