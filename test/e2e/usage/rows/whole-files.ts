/** What applications do with whole database files: fill, copy, replace, delete and make them again. */
import { expect } from "bun:test";
import type { Action } from "../engine-actions.ts";
import type { EngineScene } from "./engine-scene.ts";
import { readWhole } from "./restored.ts";
import type { SharedPart } from "./row.ts";

const wal = "PRAGMA journal_mode=WAL";
const companions = (name: string): string[] => [name, `${name}-wal`, `${name}-shm`];
const content = "SELECT hex(v) FROM t ORDER BY id";
const pieces = 5;

/** A whole database under a name that no pattern matches, closed. */
const make = (name: string, megabytes: number): Action[] => [
  { open: name, as: "made" },
  {
    exec: `CREATE TABLE t(id INTEGER PRIMARY KEY, v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${megabytes * 256}) INSERT INTO t(v) SELECT randomblob(3900) FROM n`,
    on: "made",
  },
  { close: "made" },
];

/**
 * A file that gets its name first and its content piece by piece, at full size from the beginning or growing. The one
 * that fills it has it open for so long, and every answer waits until it is whole.
 */
function filled(does: string, target: string, megabytes: number, allocated: boolean): SharedPart {
  const source = `${target}.made`;
  return {
    kind: "shared",
    does,
    async use(here) {
      await here.must(make(source, megabytes));
      const size = here.size(source);
      const bytes = Math.ceil(size / pieces);
      const part = (nth: number): Action => ({ part: target, from: source, at: nth * bytes, bytes });
      const answers = [here.must([{ allocate: target, bytes: allocated ? size : 0 }, part(0)])];
      await here.untilHeld(target);
      for (let nth = 1; nth < pieces; nth++) {
        answers.push(here.must([part(nth)]), here.commit());
        await here.untilWritten(target, nth * bytes);
      }
      answers.push(here.must([{ release: target }]));
      await Promise.all(answers);
    },
    check: (restored, here) =>
      expect(restored.all(target, content)).toEqual(readWhole(here.path(source).toString(), content)),
    leaves: [target],
  };
}

export const preallocatedLarge = filled("a file of 20 MB is made at full size and then filled", "large.db", 20, true);
export const preallocatedSmall = filled("a file of 10 MB is made at full size and then filled", "small.db", 10, true);
export const copiedInPieces = filled("a file of 20 MB comes into place piece by piece", "growing.db", 20, false);

export const copied: SharedPart = {
  kind: "shared",
  does: "cp of 20 MB into place",
  async use(here) {
    await here.must([...make("copied.made", 20), { cp: ["copied.made", "copied.db"] }]);
    await here.must([
      { open: "copied.db", as: "copied" },
      { exec: "INSERT INTO t(v) VALUES ('after')", on: "copied" },
      { close: "copied" },
    ]);
  },
  check(restored, here) {
    const made = readWhole(here.path("copied.made").toString(), content);
    expect(restored.all("copied.db", content)).toEqual([...made, Buffer.from("after").toString("hex").toUpperCase()]);
  },
  leaves: ["copied.db"],
};

const rounds = 5;

export const madeAgain: SharedPart = {
  kind: "shared",
  does: "a database is deleted and made again in one request, several times",
  async use(here) {
    const again: Action[] = [
      { open: "again.db", as: "again" },
      { exec: `${wal}; CREATE TABLE round_$i(v); INSERT INTO round_$i VALUES ($i)`, on: "again" },
      { close: "again" },
      { remove: companions("again.db") },
    ];
    for (let round = 0; round < rounds; round++) {
      await here.must([
        { each: 2, run: again },
        { open: "again.db", as: "again" },
        { exec: `${wal}; CREATE TABLE t(v); INSERT INTO t VALUES (${round})`, on: "again" },
        { close: "again" },
      ]);
      if (round < rounds - 1)
        await here.must([
          { remove: companions("again.db") },
          { open: "again.db", as: "again" },
          { exec: "CREATE TABLE other(v)", on: "again" },
          { close: "again" },
          { remove: companions("again.db") },
        ]);
    }
  },
  check: (restored) =>
    expect([
      restored.all("again.db", "SELECT name FROM sqlite_schema"),
      restored.all("again.db", "SELECT v FROM t"),
    ]).toEqual([["t"], [rounds - 1]]),
  leaves: ["again.db"],
};

let backedUp: readonly number[] = [];

export const backup: SharedPart = {
  kind: "shared",
  does: "VACUUM INTO, and a rename over the copy of the night before",
  async use(here) {
    for (let night = 0; night < 3; night++) {
      await here.commit();
      await here.must([
        { exec: `VACUUM INTO '${here.path("backup.tmp").toString()}'` },
        { rename: ["backup.tmp", "backup.db"] },
      ]);
    }
    backedUp = [...here.acknowledged];
  },
  check: (restored) =>
    expect(restored.all("backup.db", "SELECT v FROM t ORDER BY v")).toEqual(backedUp.toSorted((a, b) => a - b)),
  leaves: ["backup.db"],
};

const beginShop: Action[] = [
  { open: "shop.db", as: "shop" },
  { exec: `${wal}; CREATE TABLE IF NOT EXISTS t(v)`, on: "shop" },
];
const sell = (value: number): Action => ({ exec: `INSERT INTO t VALUES (${value})`, on: "shop" });

export const restoredByRenames: SharedPart = {
  kind: "shared",
  does: "an application closes its database, renames its files away and a backup in, and starts again",
  async use(here) {
    await here.must([
      ...beginShop,
      sell(1),
      { exec: `VACUUM INTO '${here.path("shop.bak").toString()}'`, on: "shop" },
      sell(2),
    ]);
    const away: Action[] = companions("shop.db").map((name) => ({
      renameIfThere: [name, `${name.replaceAll("-", ".")}.old`],
    }));
    await here.must([{ close: "shop" }, ...away, { rename: ["shop.bak", "shop.db"] }, ...beginShop, sell(3)]);
    await restart(here);
    expect(await here.must([...beginShop, sell(4), { all: "SELECT v FROM t ORDER BY v", on: "shop" }])).toEqual([
      1, 3, 4,
    ]);
  },
  check: (restored) => expect(restored.all("shop.db", "SELECT v FROM t ORDER BY v")).toEqual([1, 3, 4]),
  leaves: ["shop.db"],
};

/** The application ends by itself, and its host starts it again. */
async function restart(here: EngineScene): Promise<void> {
  await here.must([{ exit: true }]);
  await here.until("the application to be started again", async () => {
    const { application } = await here.status();
    return application?.state === "ready" && application.restarts > 0;
  });
  await here.openOwn();
}

export const quickSuccession: SharedPart = {
  kind: "shared",
  does: "databases are created and deleted in quick succession",
  async use(here) {
    const run: Action[] = [
      { open: "quick-$i.db", as: "quick" },
      { exec: `${wal}; CREATE TABLE t(v); INSERT INTO t VALUES (1)`, on: "quick" },
      { close: "quick" },
      { remove: companions("quick-$i.db") },
    ];
    for (let round = 0; round < 5; round++) {
      await here.must([
        { each: 3, run },
        { each: 3, run },
        { each: 3, run },
        { each: 3, run },
      ]);
      await here.commit();
    }
  },
  check: () => undefined,
  leaves: [],
};
