/** What a restore reads of local files: of the application's user, who can put anything in their place. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLocalChunk } from "../../../src/host/secondary/local-chunk.ts";
import { chunkNamesOf } from "../../../src/vault/store/chunk-names.ts";

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "stead-chunk-"))));
afterEach(() => rmSync(root, { recursive: true }));

const content = Buffer.from("the wanted chunk");
const names = chunkNamesOf({});
const read = (...folders: string[]): Promise<Uint8Array | undefined> =>
  readLocalChunk(
    folders.map((folder) => join(root, folder)),
    { name: "a.db", offset: 0, length: content.length, chunk: names.of(content)[0] ?? "" },
    names,
  );

describe("a chunk of a local file", () => {
  test("is the wanted one, of the first folder that has the file", async () => {
    for (const folder of ["former", "copy"]) mkdirSync(join(root, folder));
    expect(await read("former", "copy")).toBeUndefined();
    writeFileSync(join(root, "copy/a.db"), content);
    expect(await read("former", "copy")).toEqual(content);
    writeFileSync(join(root, "former/a.db"), "something different");
    expect(await read("former", "copy")).toBeUndefined();
  });

  test("is not read from a pipe, a link or a folder in the place of the file, nor waited for", async () => {
    for (const folder of ["copy", "a.db"]) mkdirSync(join(root, folder));
    expect(await read(".")).toBeUndefined();
    writeFileSync(join(root, "wanted"), content);
    symlinkSync(join(root, "wanted"), join(root, "copy/a.db"));
    expect(await read("copy")).toBeUndefined();
    rmSync(join(root, "copy/a.db"));
    expect(Bun.spawnSync(["mkfifo", join(root, "copy/a.db")]).exitCode).toBe(0);
    expect(await read("copy")).toBeUndefined();
  });
});
