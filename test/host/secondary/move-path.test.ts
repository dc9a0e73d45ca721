import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { moveFileIfThere, moveFolderIfThere } from "../../../src/host/secondary/move-path.ts";

/** Another file system than that of the temporary folder; every Linux has one. */
const otherFileSystem = "/dev/shm";
const isElsewhere = existsSync(otherFileSystem) && statSync(otherFileSystem).dev !== statSync(tmpdir()).dev;

let near: string;
let far: string;
beforeEach(() => {
  near = mkdtempSync(join(tmpdir(), "stead-move-"));
  far = mkdtempSync(join(isElsewhere ? otherFileSystem : tmpdir(), "stead-move-"));
});
afterEach(() => {
  for (const folder of [near, far]) rmSync(folder, { recursive: true, force: true });
});

const bytes = (): Promise<number> => Promise.resolve(1);

test("what is not there is not moved", async () => {
  for (const to of [join(near, "b"), join(far, "b")]) {
    await moveFileIfThere(join(near, "a"), to);
    await moveFolderIfThere(join(near, "a"), to, `${to}.partial`, bytes);
    expect(existsSync(to)).toBe(false);
  }
});

describe.if(isElsewhere)("to another file system", () => {
  test("a file whose copy fails stays where it is", async () => {
    const [from, to] = [join(near, "a.db"), join(far, "a.db")];
    writeFileSync(from, "the only copy");
    mkdirSync(`${to}.moving`); // In the way of the copy.
    await expect(moveFileIfThere(from, to)).rejects.toThrow();
    expect(readFileSync(from, "utf8")).toBe("the only copy");
    expect(existsSync(to)).toBe(false);
  });

  test("what a crash left of the copy of a folder is not mixed with the next one", async () => {
    const [from, to, partial] = [join(near, "data"), join(far, "data"), join(far, "partial")];
    mkdirSync(join(from, "tenants"), { recursive: true });
    writeFileSync(join(from, "tenants/a.db"), "content");
    mkdirSync(partial);
    writeFileSync(join(partial, "b.db"), "half of it");
    await moveFolderIfThere(from, to, partial, bytes);
    expect(readdirSync(to, { recursive: true }).map(String).sort()).toEqual(["tenants", "tenants/a.db"]);
    expect(readFileSync(join(to, "tenants/a.db"), "utf8")).toBe("content");
    expect([existsSync(from), existsSync(partial)]).toEqual([false, false]);
  });

  test("a folder whose copy fails stays where it is, and nothing is left of the copy", async () => {
    const [from, to, partial] = [join(near, "data"), join(far, "data"), join(far, "partial")];
    mkdirSync(from);
    writeFileSync(join(from, "a.db"), "the only copy");
    mkdirSync(to);
    writeFileSync(join(to, "mine"), "");
    await expect(moveFolderIfThere(from, to, partial, bytes)).rejects.toThrow("ENOTEMPTY");
    expect(readFileSync(join(from, "a.db"), "utf8")).toBe("the only copy");
    expect(readdirSync(to)).toEqual(["mine"]);
  });
});
