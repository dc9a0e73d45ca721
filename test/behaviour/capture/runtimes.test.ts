/**
 * Capture under Node and Deno, as a child process of each that is here: a commit of another process is seen, captured
 * once, and locks are kept.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bundleFor, findRuntime, type RuntimeName } from "../../../scripts/proxy-bench/runtimes.ts";
import { Application } from "../../support/capture/pair.ts";

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "stead-capture-runtimes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Databases: with more than four, events decide which to look at (Bun), or all are looked at. */
const counts = [1, 6];

for (const name of ["node", "deno"] satisfies RuntimeName[]) {
  const runtime = findRuntime(name);
  if (runtime === undefined) {
    console.log(`${name} is not here (npm package in .bun/runtimes, or on the PATH): capture is not tested on it`);
    continue;
  }
  test.each(counts)(`${name} ${runtime.version} captures %d databases`, async (count) => {
    const root = join(folder, `${name}-${count}`);
    mkdirSync(root);
    await using application = new Application();
    for (let i = 0; i < count; i++) {
      await application.open(`${i}`, join(root, `${i}.db`));
      await application.run(`${i}`, "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
    }
    const [program, ...leading] = runtime.command;
    const child = spawn(
      program,
      [...leading, await bundleFor(join(import.meta.dirname, "runtime-child.ts"), folder), root],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const heard = async (): Promise<unknown> => JSON.parse(((await lines.next()) as { value: string }).value);
    const ask = (line: string): Promise<unknown> => {
      child.stdin.write(`${line}\n`);
      return heard();
    };
    try {
      expect(await heard()).toMatchObject({ names: Array.from({ length: count }, (_, i) => `${i}.db`) });
      expect(await ask("collect")).toEqual({ ahead: false, pages: [] });
      for (let round = 0; round < 3; round++) {
        await application.run(`${count - 1}`, "INSERT INTO t VALUES (1)");
        expect(await ask("collect")).toEqual({ ahead: true, pages: [`${count - 1}.db 1`] });
      }
      // The lock of its pin is there still: a log that is pinned does not start over.
      expect(await application.run("0", "PRAGMA busy_timeout=100; PRAGMA wal_checkpoint(TRUNCATE)")).not.toEqual([
        { busy: 0, log: 0, checkpointed: 0 },
      ]);
      expect(await ask("close")).toEqual({ ahead: false });
    } finally {
      child.kill("SIGKILL");
    }
  });
}
