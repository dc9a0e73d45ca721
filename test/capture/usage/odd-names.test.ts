/**
 * Databases whose names are unusual: like a companion's, not text, with backslashes, symbolic links. None is left out
 * without a word.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { localDatabases } from "../../../src/capture/local-state.ts";
import { Application, Pair } from "../../support/capture/pair.ts";
import { begin, refusedAtTheGate } from "./parts.ts";

const create = "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)";

for (const name of ["trip-journal", "sea-wal", "a.db-shm"]) {
  test(`a database called ${name} is captured, with a pattern that matches it, and found by the host's look at its folder`, async () => {
    await using it = await begin();
    await using pair = await Pair.open(it.folder, { databases: ["*"] });
    await using application = new Application();
    await application.open("a", join(it.root, name));
    await application.run("a", create);
    expect(pair.source.isAhead()).toBe(true);
    await pair.sync();
    await application.run("a", "INSERT INTO t VALUES (1)");
    await pair.sync();
    expect([...pair.replica.checksums().keys()]).toEqual([name]);
    expect(pair.copyHash(name)).toBe((await application.image("a")).sha256);
    expect(await localDatabases(["*"]).find(pair.copy)).toEqual([name]);
  });
}

test("files that SQLite keeps beside a database are not databases themselves, whatever the pattern", async () => {
  await using it = await begin();
  writeFileSync(join(it.root, "old.db-journal"), "what a crash left, without its database");
  writeFileSync(join(it.root, "old.db-wal"), Buffer.from("377f0682002de218", "hex"));
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  await using pair = await Pair.open(it.folder, { databases: ["*"] });
  expect([...pair.source.checksums().keys()]).toEqual(["app.db"]);
});

/** A name that is not UTF-8, with a backslash, in a folder like that. */
const oddFolder = Buffer.from([0x74, 0xe9]);
const oddFile = Buffer.concat([Buffer.from("caf"), Buffer.from([0xe9]), Buffer.from("\\x41%20?#.db")]);
const oddName = "t\\xe9/caf\\xe9\\x5cx41%20?#.db";

test("a name that is not UTF-8 and has a backslash is captured under an escaped name and restored to the same bytes", async () => {
  await using it = await begin();
  mkdirSync(Buffer.concat([Buffer.from(`${it.root}/`), oddFolder]));
  const path = Buffer.concat([Buffer.from(`${it.root}/`), oddFolder, Buffer.from("/"), oddFile]);
  const uri = [...path].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  await using pair = await Pair.open(it.folder, { databases: ["*/*.db"] });
  await it.application.open("a", uri);
  await it.application.run("a", create);
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  await pair.sync();
  expect(pair.source.isAhead()).toBe(false);
  expect([...pair.replica.checksums().keys()]).toEqual([oddName]);
  const copied = readdirSync(Buffer.concat([Buffer.from(`${pair.copy}/`), oddFolder]), { encoding: "buffer" });
  expect(copied).toEqual([oddFile]);
  expect(pair.replica.checksums()).toEqual(pair.source.checksums());
  expect(await localDatabases(["*/*.db"]).find(pair.copy)).toEqual([oddName]);
  // Taken over, like any other.
  const known = pair.replica.handOver();
  expect([...known.keys()]).toEqual([oddName]);
});

for (const when of ["at the start", "later"]) {
  test(`a symbolic link to a database that no pattern matches is captured under the name of the link, ${when}`, async () => {
    await using it = await begin();
    const elsewhere = join(it.folder, "elsewhere");
    mkdirSync(elsewhere);
    await using application = new Application();
    const make = async (): Promise<void> => {
      symlinkSync("../elsewhere/real.sqlite", it.path);
      await application.open("a", it.path);
      await application.run("a", create);
    };
    if (when === "at the start") await make();
    await using pair = await Pair.open(it.folder);
    if (when !== "at the start") await make();
    while (pair.source.isAhead()) await pair.sync();
    await application.run("a", "INSERT INTO t VALUES (1)");
    expect(pair.source.isAhead()).toBe(true);
    await pair.sync();
    expect(readdirSync(elsewhere).sort()).toEqual(["real.sqlite", "real.sqlite-shm", "real.sqlite-wal"]);
    expect([...pair.replica.checksums().keys()]).toEqual(["app.db"]);
    expect(pair.copyHash("app.db")).toBe((await application.image("a")).sha256);
    expect(statSync(join(pair.copy, "app.db")).isFile()).toBe(true);
    expect(pair.warnings.join()).toContain("app.db is a symbolic link to");
  });
}

test("a link that leads nowhere is waited for, though the file behind it comes into being elsewhere", async () => {
  await using it = await begin();
  mkdirSync(join(it.folder, "elsewhere"));
  symlinkSync(join(it.folder, "elsewhere", "real.sqlite"), it.path);
  await using pair = await Pair.open(it.folder);
  expect(pair.source.isAhead()).toBe(false);
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  expect([...pair.replica.checksums().keys()]).toEqual(["app.db"]);
});

test("a link to a captured database, and a link to its folder, are other names of the same one", async () => {
  await using it = await begin();
  mkdirSync(join(it.root, "one"));
  await it.application.open("a", join(it.root, "one", "app.db"));
  await it.application.run("a", create);
  symlinkSync("one", join(it.root, "current"));
  symlinkSync("app.db", join(it.root, "one", "alias.db"));
  await using pair = await Pair.open(it.folder, { databases: ["*/*.db"] });
  expect([...pair.source.checksums().keys()]).toEqual(["one/app.db"]);
  await it.application.open("b", join(it.root, "current", "alias.db"));
  await it.application.run("b", "INSERT INTO t VALUES (1)");
  expect(await pair.sync()).toBe(1);
  expect(pair.warnings.join()).toContain("current/app.db is a symbolic link to one/app.db");
  expect(pair.warnings.join()).toContain("make the same link on every host");
});

for (const what of ["file", "folder"]) {
  test(`a link of a ${what} that leads to another database while it is captured is refused`, async () => {
    await using it = await begin();
    for (const place of ["one", "two"]) {
      mkdirSync(join(it.folder, place));
      await it.application.open(place, join(it.folder, place, "app.db"));
      await it.application.run(place, create);
    }
    const link = what === "file" ? it.path : join(it.root, "tenant");
    const target = (place: string): string => join(it.folder, place, ...(what === "file" ? ["app.db"] : []));
    symlinkSync(target("one"), link);
    await using pair = await Pair.open(it.folder, {
      databases: [what === "file" ? "app.db" : "tenant/app.db"],
      limits: { attachWaitMsMax: 300 },
    });
    symlinkSync(target("two"), `${link}.new`);
    renameSync(`${link}.new`, link);
    expect((await refusedAtTheGate(pair)).kind).toBe("replaced");
  });
}

test("a link further away that leads elsewhere is noticed at an interval", async () => {
  await using it = await begin();
  for (const place of ["one", "two"]) {
    mkdirSync(join(it.folder, place));
    await it.application.open(place, join(it.folder, place, "app.db"));
    await it.application.run(place, create);
  }
  const far = join(it.folder, "far");
  symlinkSync("one", far);
  symlinkSync("../far", join(it.root, "tenant"));
  await using pair = await Pair.open(it.folder, { databases: ["tenant/app.db"], limits: { attachWaitMsMax: 300 } });
  unlinkSync(far);
  symlinkSync("two", far);
  while (!pair.source.isAhead()) {
    await pair.source.tick();
    await Bun.sleep(5);
  }
  expect((await refusedAtTheGate(pair)).kind).toBe("replaced");
});

test("** leads through all folders but linked ones, and what is excepted is left alone", async () => {
  await using it = await begin();
  for (const folder of ["a/b/c", "cache"]) mkdirSync(join(it.root, folder), { recursive: true });
  symlinkSync("..", join(it.root, "a", "up"));
  for (const name of ["app.db", "a/b/c/deep.db", "cache/x.db"]) {
    await it.application.open(name, join(it.root, name));
    await it.application.run(name, create);
  }
  await using pair = await Pair.open(it.folder, { databases: ["**/*.db"], except: ["cache/*.db"] });
  expect([...pair.source.checksums().keys()]).toEqual(["a/b/c/deep.db", "app.db"]);
  mkdirSync(join(it.root, "a", "new"));
  await it.application.open("n", join(it.root, "a", "new", "n.db"));
  await it.application.run("n", create);
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  await it.application.run("cache/x.db", "INSERT INTO t VALUES (1)");
  expect(pair.source.isAhead()).toBe(false);
  expect([...pair.source.checksums().keys()].sort()).toEqual(["a/b/c/deep.db", "a/new/n.db", "app.db"]);
});
