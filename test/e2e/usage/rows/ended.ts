/**
 * What ends the term or holds answers for good, each with hosts of its own: what was acknowledged is there, and the
 * cause is named.
 */
import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HostMember } from "../../../../harness/cluster.ts";
import { selfCommand } from "../../../../src/runtime/self-command.ts";
import type { Action, Engine, EngineName } from "../engine-actions.ts";
import { Scene } from "../scene.ts";
import { EngineScene } from "./engine-scene.ts";
import { readWhole } from "./restored.ts";
import type { Inability, OwnPart } from "./row.ts";

const wal: Action = { exec: "PRAGMA journal_mode=WAL" };
const create: Action = { exec: "CREATE TABLE IF NOT EXISTS t(v)" };
const insert = (value: number): Action => ({ exec: `INSERT INTO t VALUES (${value})` });
const remove: Action = { remove: ["app.db", "app.db-wal", "app.db-shm"] };

const run = (here: Scene, ...actions: readonly Action[]) => here.run(JSON.stringify(actions));
const must = (here: Scene, ...actions: readonly Action[]) => here.must(JSON.stringify(actions));

/** Two hosts, of which the second takes over. */
async function withTwo(engine: Engine, use: (here: Scene) => Promise<void>): Promise<void> {
  const here = await Scene.open({ host: 'uncaptured_patience = "2s"', command: engine.command });
  try {
    await use(here);
  } finally {
    await here.close();
  }
}

/** Inserts 1 to 6, one for each request. */
async function insertAll(
  here: Scene,
): Promise<{ readonly acknowledged: readonly number[]; readonly refused: readonly number[] }> {
  const acknowledged: number[] = [];
  const refused: number[] = [];
  for (let value = 1; value <= 6; value++) {
    const { status } = await run(here, insert(value));
    if (status === 200) acknowledged.push(value);
    else refused.push(status);
  }
  return { acknowledged, refused };
}

function rowsOf(host: HostMember): readonly unknown[] {
  const path = join(host.folder, "data", "app.db");
  if (!existsSync(path) || readWhole(path, "SELECT 1 FROM sqlite_schema WHERE name='t'").length === 0) return [];
  return readWhole(path, "SELECT v FROM t ORDER BY v");
}

/**
 * What `app.db` of the primary has, which its application has not opened. The request that ended a term is sent once
 * more and may end the next one while it is read here, which sets the database aside: another primary is read then.
 */
async function rowsOfPrimary(here: Scene): Promise<readonly unknown[]> {
  for (;;) {
    const host = await here.primary();
    const before = await here.cluster.statusOf(host);
    const read = attempt(() => rowsOf(host));
    const after = await here.cluster.statusOf(host);
    const stays = before?.role === "primary" && after?.role === "primary" && before.epoch === after.epoch;
    if (stays) return read();
  }
}

/** Runs it now; what comes back gives its result or throws its error. */
function attempt<T>(run: () => T): () => T {
  try {
    const result = run();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

async function afterKill(here: Scene): Promise<readonly unknown[]> {
  await here.killPrimary();
  return rowsOfPrimary(here);
}

/** `begin` opens a database so that commits escape; they are refused, or there. */
function escaping(
  does: string,
  begin: (here: Scene) => Promise<unknown>,
  cannot: NonNullable<OwnPart["cannot"]>,
): OwnPart {
  return {
    kind: "own",
    does,
    cannot,
    run: (engine) =>
      withTwo(engine, async (here) => {
        await begin(here);
        const { acknowledged, refused } = await insertAll(here);
        expect(refused.length).toBeGreaterThan(0);
        expect(await afterKill(here)).toEqual(expect.arrayContaining([...acknowledged]));
      }),
  };
}

const noUri: Inability = {
  why: "it takes no URI",
  async prove(here) {
    const { status, result } = await here.run([{ open: "uri.db", as: "uri", query: "?vfs=unix-none" }]);
    expect([status, here.isThere("uri.db")]).toEqual([500, false]);
    expect(String(result)).toContain("unable to open");
  },
};

export const withoutLocks = ["?vfs=unix-none", "?vfs=unix-dotfile", "?nolock=1"].map((query) =>
  escaping(
    `what is written in exclusive mode with ${query} is refused or there`,
    (here) => run(here, { open: "app.db", query }, { exec: "PRAGMA locking_mode=EXCLUSIVE" }, wal, create),
    { "better-sqlite3": noUri },
  ),
);

/** Its own database is in use then. */
const usesIndex: Inability = {
  why: "it coordinates by SQLite's index of the log",
  async prove(here) {
    expect(["app.db-shm", "app.db-wal", "app.db-tshm"].map((name) => here.isThere(name))).toEqual([true, true, false]);
    const before = here.bytes("app.db-shm", 0, 136);
    await here.commit();
    expect(here.bytes("app.db-shm", 0, 136)).not.toEqual(before);
  },
};

const withIndex: readonly EngineName[] = ["Python sqlite3", "node:sqlite", "better-sqlite3", "bun:sqlite", "libsql"];

export const multiprocessWal = escaping(
  "what is written with multiprocess_wal, by files of its own beside the log, is refused or there",
  (here) => run(here, { open: "app.db" }, create),
  Object.fromEntries(withIndex.map((name) => [name, usesIndex])),
);

export const renamedWhileOpen = escaping(
  "what is written by a connection that was open when its database got a matching name is refused or there",
  async (here) => {
    await must(here, { open: "app.tmp" }, wal, create);
    await run(here, { rename: ["app.tmp", "app.db"] });
  },
  {},
);

export const deletedWhileOpen: OwnPart = {
  kind: "own",
  does: "databases that are deleted while they are open take no acknowledged write with them",
  run: (engine) =>
    withTwo(engine, async (here) => {
      await must(here, { open: "app.db" }, wal, create);
      await run(here, remove);
      const { acknowledged } = await insertAll(here);
      expect(await afterKill(here)).toEqual(expect.arrayContaining([...acknowledged]));
    }),
};

/**
 * Until a host gave the service up with these words, and one serves in a later epoch: perhaps the same host, since the
 * request is sent once more to the next one, which gives up too.
 */
async function untilGivenUp(here: Scene, before: number, words: string): Promise<void> {
  await here.until("the next primary", async () => (await epochOf(here)) > before);
  const told = await here.events();
  expect(told.map(({ detail }) => detail).join("\n")).toContain(words);
  expect((await here.statuses()).map((status) => status?.role)).not.toContain("failed");
  await here.primary();
}

const epochOf = async ({ cluster }: Scene): Promise<number> => (await cluster.primary())?.status.epoch ?? 0;

export const exclusiveOnExisting: OwnPart = {
  kind: "own",
  does: "locking_mode=EXCLUSIVE on a database that exists is refused with the mode, and nothing is missing",
  run: (engine) =>
    withTwo(engine, async (here) => {
      await here.primary();
      const before = await epochOf(here);
      await must(here, { open: "app.db" }, wal, create, insert(1), { close: "main" });
      const { status } = await run(
        here,
        { open: "app.db", timeoutMs: 0 },
        { exec: "PRAGMA locking_mode=EXCLUSIVE" },
        insert(2),
      );
      expect(status).not.toBe(200);
      await untilGivenUp(here, before, "locking_mode=EXCLUSIVE");
      expect(await rowsOfPrimary(here)).toEqual([1]);
    }),
};

export const exclusiveOnNew: OwnPart = {
  kind: "own",
  does: "locking_mode=EXCLUSIVE on a new database is refused with the mode, and no host fails for good",
  run: (engine) =>
    withTwo(engine, async (here) => {
      await here.primary();
      const before = await epochOf(here);
      const { status } = await run(
        here,
        { open: "app.db" },
        { exec: "PRAGMA locking_mode=EXCLUSIVE" },
        wal,
        create,
        insert(1),
      );
      expect(status).not.toBe(200);
      await untilGivenUp(here, before, "Remove PRAGMA locking_mode=EXCLUSIVE from the application");
    }),
};

export const beyondTheMost: OwnPart = {
  kind: "own",
  does: "one database more than databases_max holds answers until it is gone, and ends nothing",
  async run(engine) {
    const here = await EngineScene.open(engine, { host: "databases_max = 2" });
    try {
      const { epoch } = await here.status();
      const make = (name: string): Action[] => [
        { open: name, as: name },
        { exec: "CREATE TABLE t(v)", on: name },
        { close: name },
      ];
      await here.must(make("second.db"));
      const waiting = [here.must(make("third.db"))];
      await here.untilHeld("third.db");
      await Promise.all([...waiting, here.commit(), here.must([{ remove: ["third.db"] }])]);
      const status = await here.status();
      expect([status.role, status.epoch]).toEqual(["primary", epoch]);
    } finally {
      await here.close();
    }
  },
};

/** With 256 descriptors. */
const limited: readonly [string, ...string[]] = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", ...selfCommand()];
const tenants = 30;

export const descriptors: OwnPart = {
  kind: "own",
  does: "thirty databases are open and written to at the same time, and are there after a kill",
  async run(engine) {
    const here = await EngineScene.open(engine, { program: limited });
    try {
      await here.must([
        {
          each: tenants,
          run: [
            { open: "tenant-$i.db", as: "tenant-$i" },
            { exec: "PRAGMA journal_mode=WAL; CREATE TABLE t(v)", on: "tenant-$i" },
          ],
        },
      ]);
      for (let value = 1; value <= 2; value++)
        await here.must([{ each: tenants, run: [{ exec: `INSERT INTO t VALUES (${value})`, on: "tenant-$i" }] }]);
      const restored = await here.kill(Promise.resolve());
      for (let nth = 0; nth < tenants; nth++)
        expect(restored.all(`tenant-${nth}.db`, "SELECT v FROM t ORDER BY v")).toEqual([1, 2]);
    } finally {
      await here.close();
    }
  },
};

/** In the data folder of a host that does not run. */
function runOnce({ command: [program, ...args] }: Engine, folder: string, actions: readonly Action[]): void {
  const { status, stderr } = spawnSync(program, [...args, JSON.stringify(actions)], {
    env: { ...process.env, DATA_DIR: folder },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

/** A host that is to begin with what the engine made in its data folder. */
async function withBootstrap(
  engine: Engine,
  use: (here: Scene, host: HostMember, data: string) => Promise<void>,
): Promise<void> {
  const here = await Scene.prepare({ hosts: 1, command: engine.command });
  try {
    const [host] = here.cluster.hosts as readonly [HostMember];
    await use(here, host, join(host.folder, "data"));
  } finally {
    await here.close();
  }
}

async function refusal(here: Scene, host: HostMember): Promise<string> {
  const started = await here.cluster.start(host);
  await here.until("the refusal", async () => (await here.cluster.statusOf(host))?.role === "failed");
  const reason = (await here.cluster.statusOf(host))?.reason ?? "";
  started.signal("SIGKILL");
  await started.ended;
  return reason;
}

export const damagedAtStart: OwnPart = {
  kind: "own",
  does: "a damaged database is not taken over as the first content",
  run: (engine) =>
    withBootstrap(engine, async (here, host, data) => {
      runOnce(engine, data, [
        { open: "app.db" },
        { exec: "CREATE TABLE t(v); INSERT INTO t VALUES (1); CREATE TABLE u(v); INSERT INTO u VALUES (2)" },
        { close: "main" },
      ]);
      const path = join(data, "app.db");
      const bytes = readFileSync(path);
      bytes.fill(0xff, bytes.length - 4096); // The page of u.
      writeFileSync(path, bytes);
      const reason = await refusal(here, host);
      expect(reason).toContain("app.db is damaged");
      expect(reason).toContain("--accept-damaged");
      expect(readFileSync(path)).toEqual(bytes);
    }),
};

export const oddAtStart: OwnPart = {
  kind: "own",
  does: "a truncated file at the start is refused as that, and a symbolic link is captured",
  run: (engine) =>
    withBootstrap(engine, async (here, host, data) => {
      const make = (name: string): Action[] => [
        { open: name, as: name },
        { exec: "CREATE TABLE t(v); INSERT INTO t SELECT randomblob(100000)", on: name },
        { close: name },
      ];
      runOnce(engine, data, [...make("real.sqlite"), ...make("cut.db")]);
      symlinkSync("real.sqlite", join(data, "link.db"));
      truncateSync(join(data, "cut.db"), 50_000);
      const reason = await refusal(here, host);
      expect(reason).toContain("cut.db");
      expect(reason).not.toContain("EXCLUSIVE");
      runOnce(engine, data, [{ remove: ["cut.db"] }]);
      await here.start();
      await here.primary();
      expect((await here.cluster.statusOf(host))?.warnings.join()).toContain("link.db is a symbolic link");
      const answer = await here.cluster.clientOf(host).databases();
      expect(answer.kind === "ok" && answer.value.databases.map(({ name, condition }) => [name, condition])).toEqual([
        ["link.db", "captured"],
      ]);
    }),
};
