import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replaceFile } from "../../src/runtime/replace-file.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-replaced-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

test("a file that is there keeps its mode and owner, and is another file; one that is not there is no file to keep", () => {
  const path = join(folder, "stead.toml");
  expect(() => replaceFile(path, "new")).toThrow("ENOENT");
  writeFileSync(path, "old");
  chmodSync(path, 0o640);
  const before = statSync(path);
  replaceFile(path, "new");
  const after = statSync(path);
  expect([readFileSync(path, "utf8"), modeOf(path), after.uid, after.gid]).toEqual([
    "new",
    0o640,
    before.uid,
    before.gid,
  ]);
  expect(after.ino).not.toBe(before.ino);
  expect(readdirSync(folder)).toEqual(["stead.toml"]);
});

test("a mode that is named is that of a new file and of one that is there, whatever the umask is", () => {
  const path = join(folder, "tls.pem");
  const umask = process.umask(0o077);
  try {
    replaceFile(path, "one", 0o644);
  } finally {
    process.umask(umask);
  }
  expect(modeOf(path)).toBe(0o644);
  replaceFile(path, "two", 0o600);
  expect([readFileSync(path, "utf8"), modeOf(path)]).toEqual(["two", 0o600]);
});

test("what lies at the draft's name is not written through", () => {
  const [path, other] = [join(folder, "tls.key"), join(folder, "other")];
  writeFileSync(other, "another's");
  symlinkSync(other, `${path}.new`);
  replaceFile(path, "a key", 0o600);
  expect([readFileSync(path, "utf8"), readFileSync(other, "utf8")]).toEqual(["a key", "another's"]);
});
