/** .ci/run with scripts in place of ./scripts/check and ./scripts/test: what it adds up, and when it fails. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-ci-"));
  for (const name of [".ci", "scripts", "bin"]) mkdirSync(join(folder, name));
  copyFileSync(join(import.meta.dirname, "../../.ci/run"), join(folder, ".ci", "run"));
  // Only these are on the PATH, so that no package is installed by a test.
  for (const name of ["bash", "sh", "env", "dirname", "mktemp", "tee", "tail", "rm", "id"]) {
    const path = Bun.which(name);
    if (path === null) throw new Error(`${name} is not on the PATH`);
    symlinkSync(path, join(folder, "bin", name));
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function runCi(check: string, tests: string): Promise<{ code: number | null; last: string }> {
  writeFileSync(join(folder, "scripts/check"), `#!/bin/sh\n${check}\n`, { mode: 0o755 });
  writeFileSync(join(folder, "scripts/test"), `#!/bin/sh\n${tests}\n`, { mode: 0o755 });
  return new Promise((resolve, reject) => {
    const child = spawn(join(folder, ".ci/run"), [], {
      cwd: tmpdir(),
      env: { PATH: join(folder, "bin"), TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, last: out.trimEnd().split("\n").at(-1) ?? "" }));
  });
}

test("the last line is the sum of both, and all passed is success", async () => {
  expect(await runCi("echo 7 passed, 0 failed", "echo noise; echo 100 passed, 0 failed")).toEqual({
    code: 0,
    last: "107 passed, 0 failed",
  });
});

test("one failure anywhere is a failure, and the rest still runs", async () => {
  expect(await runCi("echo 6 passed, 1 failed; exit 1", "echo 100 passed, 0 failed")).toEqual({
    code: 1,
    last: "106 passed, 1 failed",
  });
  expect(await runCi("echo 7 passed, 0 failed", "echo 98 passed, 2 failed; exit 1")).toEqual({
    code: 1,
    last: "105 passed, 2 failed",
  });
});

test("a script that ends badly without saying so counts as one failure", async () => {
  expect(await runCi("echo broken", "echo 1 passed, 0 failed")).toEqual({ code: 1, last: "1 passed, 1 failed" });
  expect(await runCi("echo 7 passed, 0 failed; exit 3", "echo 1 passed, 0 failed")).toEqual({
    code: 1,
    last: "8 passed, 1 failed",
  });
  expect(await runCi("kill -9 $$", "echo 1 passed, 0 failed")).toEqual({ code: 1, last: "1 passed, 1 failed" });
});
