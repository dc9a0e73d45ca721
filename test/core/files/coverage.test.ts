import { expect, test } from "bun:test";
import { coverageBy, fittingFiles, type FoundEntry, isPassing } from "../../../src/core/files/coverage.ts";

const file = (name: string, isDatabase = false): FoundEntry => ({ name, kind: "file", bytes: 10, isDatabase });
const coverage = coverageBy({
  ...{ databases: ["*.db"], databasesExcept: ["cache.db"] },
  ...{ files: ["uploads/**"], filesExcept: ["uploads/tmp/**"] },
});

test("an entry is a database, a file, SQLite's own, or not covered", () => {
  expect(coverage(file("notes.db", true)).kind).toBe("database");
  for (const name of ["notes.db-wal", "cache.db-shm", ".stead-host.lock"])
    expect(coverage(file(name)).kind).toBe("companion");
  expect(coverage(file("uploads/a.png")).kind).toBe("file");
  expect(coverage({ ...file("uploads"), kind: "folder" }).kind).toBe("file");
  // Excepted on purpose, like the database below: no warning.
  expect(coverage(file("uploads/tmp/a.png"))).toEqual({ kind: "none" });
  // Excepted on purpose: no database, no file, no warning.
  expect(coverage(file("cache.db", true))).toEqual({ kind: "none" });
  expect(coverage({ ...file("uploads/pipe"), kind: "other" }).kind).toBe("none");
});

test("what looks like state and is not covered is said so", () => {
  const looks = (entry: FoundEntry): string | undefined => {
    const found = coverage(entry);
    return found.kind === "none" ? found.looksLike : found.kind;
  };
  expect(looks(file("server.key"))).toBe("a key");
  expect(looks(file("session-secret"))).toBe("a secret");
  expect(looks(file(".migrate"))).toBe("a record of migrations");
  expect(looks(file("media/a"))).toBe("an upload");
  expect(looks(file("state.json"))).toBe("settings or state");
  expect(looks(file("other.sqlite", true))).toBe("a database");
  expect(looks(file("app.log"))).toBeUndefined();
  expect(looks(file("cache/a.json"))).toBeUndefined();
  expect(looks({ ...file("media"), kind: "folder" })).toBeUndefined();
});

test("logs, caches and temporary files are transient", () => {
  for (const name of ["app.log", "a/app.log.3", "tmp/x.json", "x/.cache/y", "app.pid", "a~"])
    expect(isPassing(name)).toBe(true);
  for (const name of ["template.json", "logs.json", "uploads/log"]) expect(isPassing(name)).toBe(false);
});

test("fitting patterns cover state, and leave out what is transient", () => {
  const entries = [
    "notes.db",
    "notes.db-wal",
    ".migrate",
    "app.log",
    "uploads/1/a.png",
    "uploads/tmp/b",
    "cache/c",
    "a?",
  ];
  expect(
    fittingFiles(
      entries.map((name) => file(name, name.endsWith(".db"))),
      ["*.db"],
    ),
  ).toEqual({
    files: [".migrate", "uploads/**"],
    except: ["uploads/tmp/**"],
  });
  expect(fittingFiles([file("notes.db", true)], ["*.db"])).toEqual({ files: [], except: [] });
});
