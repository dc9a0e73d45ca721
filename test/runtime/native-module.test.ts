import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { libsqlPackages, nativeTarget } from "../../scripts/lib/libsql-plugin.ts";
import { loadEmbedded, loadFrom } from "../../src/runtime/native-module.ts";
import { OperatorError } from "../../src/runtime/operator-error.ts";

let root = "";
const folder = (name: string): string => join(root, name);
const bytes = new Uint8Array([1, 2, 3]);

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "stead-native-"));
  for (const name of ["named", "database", "system"]) mkdirSync(folder(name));
  // A folder that no user can write into.
  writeFileSync(folder("file"), "");
});
afterAll(() => rmSync(root, { recursive: true }));

const left = (): string[] => ["named", "database", "system"].flatMap((name) => readdirSync(folder(name)));

function refusal(folders: Parameters<typeof loadFrom>[0], load = (path: string): string => path): OperatorError {
  try {
    loadFrom(folders, bytes, load);
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
  throw new Error("it was loaded");
}

describe("the native module", () => {
  const all = (): Parameters<typeof loadFrom>[0] => ({
    named: undefined,
    database: folder("database"),
    system: folder("system"),
  });

  test("is loaded beside the database, from a file of this process alone, which is gone afterwards", () => {
    const seen = loadFrom(all(), bytes, (path) => ({
      folder: dirname(path),
      bytes: [...readFileSync(path)],
      mode: statSync(path).mode & 0o777,
    }));
    expect(seen).toEqual({ folder: folder("database"), bytes: [1, 2, 3], mode: 0o700 });
    expect(left()).toEqual([]);
  });

  test("is loaded from the system's folder where the database's cannot be written or executes nothing", () => {
    expect(dirname(loadFrom({ ...all(), database: folder("file") }, bytes, (path) => path))).toBe(folder("system"));
    const executed = loadFrom(all(), bytes, (path) => {
      if (dirname(path) === folder("database")) throw new Error(`${path}: failed to map segment`);
      return path;
    });
    expect(dirname(executed)).toBe(folder("system"));
    expect(left()).toEqual([]);
  });

  test("is loaded from the system's folder by a process without a database", () => {
    expect(dirname(loadFrom({ ...all(), database: undefined }, bytes, (path) => path))).toBe(folder("system"));
  });

  test("is loaded from the folder of STEAD_TMP and from no other", () => {
    expect(dirname(loadFrom({ ...all(), named: folder("named") }, bytes, (path) => path))).toBe(folder("named"));
    const refused = refusal({ ...all(), named: folder("file") });
    expect(refused.found).toContain(`the folder of STEAD_TMP, ${folder("file")} (`);
    expect(refused.found).not.toContain(folder("database"));
    expect(dirname(loadFrom({ ...all(), named: "" }, bytes, (path) => path))).toBe(folder("database"));
  });

  test("is libSQL, whose functions can be called after its file is gone", () => {
    const packaged = join(import.meta.dirname, "../../node_modules", libsqlPackages[nativeTarget()], "index.node");
    expect(loadEmbedded(packaged)).toMatchObject({ databaseOpen: expect.any(Function) });
  });

  test("names each folder with its reason, the setting and the variable when none will do", () => {
    const refused = refusal(all(), (path) => {
      throw new Error(`${path}: failed to map segment`);
    });
    expect(refused.area).toBe("resource");
    expect(refused.found).toContain(`${folder("database")} (the file: failed to map segment)`);
    expect(refused.found).toContain(`nor from ${folder("system")} (the file: failed to map segment)`);
    expect(refused.advice).toContain("STEAD_TMP");
    expect(refused.advice).toContain("gateway.database");
    expect(left()).toEqual([]);
  });
});
