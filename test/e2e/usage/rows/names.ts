/**
 * Files under a matching name that are none of the usual: links, names that are not text, names like those of
 * companions, no databases at all.
 */
import { expect } from "bun:test";
import type { Action } from "../engine-actions.ts";
import type { EngineScene } from "./engine-scene.ts";
import type { SharedPart } from "./row.ts";

const read = "SELECT v FROM t ORDER BY v";

/** Created, and written to once more when it is known. */
async function useNamed(here: EngineScene, name: string): Promise<void> {
  await here.must([
    { open: name, as: "named" },
    { exec: "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)", on: "named" },
  ]);
  await here.must([{ exec: "INSERT INTO t VALUES (2)", on: "named" }]);
  await here.must([{ close: "named" }]);
}

const named = (does: string, ...names: string[]): SharedPart => ({
  kind: "shared",
  does,
  async use(here) {
    for (const name of names) await useNamed(here, name);
  },
  check(restored) {
    for (const name of names) expect(restored.all(name, read)).toEqual([1, 2]);
  },
  leaves: names,
});

export const likeCompanions = named(
  "databases whose names end like those of companions",
  "trip-journal",
  "sea-wal",
  "a.db-shm",
);
export const backslash = named(
  "a name with a backslash, and with what means something in a URI",
  "back\\slash %41?#.db",
);
export const latin: SharedPart = {
  ...named("a database is created with a name in Latin-1", "caf\xe9.db"),
  cannot: {
    "better-sqlite3": {
      why: "it takes text for a path, and no URI",
      async prove(here) {
        expect((await here.run([{ open: "caf\xe9.db", as: "latin" }])).status).toBe(500);
        expect(here.isThere("caf\xe9.db")).toBe(false);
      },
    },
  },
};

export const renamedToLatin: SharedPart = {
  kind: "shared",
  does: "a database gets a name in Latin-1",
  async use(here) {
    await useNamed(here, "cafe.tmp");
    await here.must([{ rename: ["cafe.tmp", "renamed-\xe9.db"] }]);
    await here.commit();
  },
  check: (restored) => expect(restored.all("renamed-\xe9.db", read)).toEqual([1, 2]),
  leaves: ["renamed-\xe9.db"],
};

export const linkedBySymbol: SharedPart = {
  kind: "shared",
  does: "a symbolic link to a file that no pattern matches",
  async use(here) {
    await here.must([{ symlink: ["elsewhere.sqlite", "link.db"] }]);
    await useNamed(here, "link.db");
    expect(here.size("elsewhere.sqlite")).toBeGreaterThan(0);
  },
  check: (restored) => expect(restored.all("link.db", read)).toEqual([1, 2]),
  leaves: ["link.db"],
};

const plain = "not a database at all, and longer than the header of one ".repeat(3);

export const plainFile: SharedPart = {
  kind: "shared",
  does: "a file that is no database is a warning",
  async use(here) {
    await here.must([{ text: plain, to: "plain.db" }]);
    await here.commit();
    await here.until("the warning", async () => (await here.status()).warnings.join().includes("plain.db"));
  },
  check: () => undefined,
  leaves: [],
};

/** `begin` makes something that cannot be captured: its answer and others wait, until `end` is done. */
async function isHeldUntil(
  here: EngineScene,
  name: string,
  begin: readonly Action[],
  end: readonly Action[],
): Promise<void> {
  const answers = [here.must(begin)];
  await here.untilHeld(name);
  await Promise.all([...answers, here.commit(), here.must(end)]);
}

export const sealedFile: SharedPart = {
  kind: "shared",
  does: "an encrypted database with its log holds answers until it is gone",
  use: (here) =>
    isHeldUntil(
      here,
      "sealed.db",
      [
        { text: "x", to: "sealed.db-wal" },
        { text: plain, to: "sealed.db" },
      ],
      [{ remove: ["sealed.db", "sealed.db-wal"] }],
    ),
  check: () => undefined,
  leaves: [],
};

export const linkedToOther: SharedPart = {
  kind: "shared",
  does: "a hard link under a matching name to a database that is written by another name holds answers until it is gone",
  async use(here) {
    await here.must([
      { open: "other.data", as: "other" },
      { exec: "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)", on: "other" },
    ]);
    await isHeldUntil(
      here,
      "linked.db",
      [{ link: ["other.data", "linked.db"] }, { exec: "INSERT INTO t VALUES (2)", on: "other" }],
      [{ remove: ["linked.db"] }],
    );
    await here.must([{ close: "other" }]);
  },
  check: () => undefined,
  leaves: [],
};

export const linkedForBackup: SharedPart = {
  kind: "shared",
  does: "a second name of a captured database, as a backup makes it, holds answers until it is gone",
  use: (here) => isHeldUntil(here, "app.db", [{ link: ["app.db", "copy.bak"] }], [{ remove: ["copy.bak"] }]),
  check: () => undefined,
  leaves: [],
};
