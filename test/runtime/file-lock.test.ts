import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileLock, FileLockError, lockHolder } from "../../src/runtime/file-lock.ts";

let folder = "";
let path = "";
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-lock-"));
  path = join(folder, "lock");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** A process that takes the lock, starts a child that outlives it, and prints the child's process id. */
async function holder(): Promise<{ child: ChildProcess; heir: number }> {
  const module = join(import.meta.dirname, "../../src/runtime/file-lock.ts");
  const script = `
    const { FileLock } = await import(${JSON.stringify(module)});
    globalThis.lock = FileLock.take(${JSON.stringify(path)});
    if (globalThis.lock === undefined) throw new Error("not taken");
    const heir = require("node:child_process").spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    console.log(heir.pid);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return { child, heir: Number(line.toString()) };
}

const isTaken = (): boolean => {
  const lock = FileLock.take(path);
  lock?.release();
  return lock === undefined;
};

describe("a lock on a file", () => {
  test("belongs to one process at a time, and is free again when it is released", () => {
    const lock = FileLock.take(path);
    expect(FileLock.take(path)).toBeUndefined();
    lock?.release();
    expect(isTaken()).toBe(false);
    expect([readdirSync(folder), statSync(path).size]).toEqual([["lock"], 0]);
  });

  test("stays with a frozen process, and is free at once when that process is killed, even while its children live", async () => {
    const { child, heir } = await holder();
    try {
      expect(isTaken()).toBe(true);
      child.kill("SIGSTOP");
      expect(isTaken()).toBe(true);
      if (process.platform === "linux") {
        expect(lockHolder(path)).toBe(child.pid);
        const inherited = readdirSync(`/proc/${heir}/fd`).map((fd) => readlinkSync(`/proc/${heir}/fd/${fd}`));
        expect(inherited).not.toContain(path);
      }
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      expect(() => process.kill(heir, 0)).not.toThrow();
      expect(isTaken()).toBe(false);
      expect([readdirSync(folder), lockHolder(path)]).toEqual([["lock"], undefined]);
    } finally {
      process.kill(heir, "SIGKILL");
    }
  });

  test("that cannot be taken at all is an error, and is not mistaken for a lock of another process", () => {
    expect(() => FileLock.take(folder)).toThrow(FileLockError);
    expect(() => FileLock.take(join(folder, "no", "such", "folder"))).toThrow("ENOENT");
  });
});
