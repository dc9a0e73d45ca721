/**
 * A rehearsal on the real ground: files, processes and output of this machine; of the host only the secondary's files.
 */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApplicationConfig } from "../../../src/config/types.ts";
import { allRules } from "../../../src/core/rules.ts";
import { CopiedLinkError, copyDatabases, copyFiles } from "../../../src/host/application/database-copy.ts";
import { OutputTail } from "../../../src/host/application/output-tail.ts";
import { MachineRehearsalGround } from "../../../src/host/application/rehearsal-ground.ts";
import { type Original, Rehearsals } from "../../../src/host/rehearsals.ts";
import { processRow } from "../../../src/host/application/process-table.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";

setDefaultTimeout(60_000);

const secret = "the secret of the whole cluster";
let root: string;
let data: string;
let strays: string[];
let results: boolean[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stead-rehearsal-"));
  data = join(root, "data");
  mkdirSync(join(data, "sub"), { recursive: true });
  writeFileSync(join(data, "a.db"), "pages of a");
  writeFileSync(join(data, "sub", "b.db"), "pages of b");
  writeFileSync(join(data, "other.txt"), "no database");
  strays = [];
  results = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const names = ["a.db", "sub/b.db"];
const secondary: Original = {
  follower: { alone: (work) => work(() => Promise.resolve(0)), reader: { position: 7 } },
  replica: { checksums: () => new Map(names.map((name) => [name, { count: 1, sum: "0".repeat(64) } as never])) },
};

function rehearsals(script: string, change: Partial<ApplicationConfig> = {}): Rehearsals {
  const application: ApplicationConfig = {
    command: [process.execPath, "-e", script],
    ...{
      cwd: root,
      env: {},
      readyPath: undefined,
      readyTimeoutMs: 30_000,
      port: undefined,
      stopSignal: "SIGTERM",
      stopCommand: undefined,
      stopTimeoutMs: 20_000,
      restartsMax: 3,
      restartWindowMs: 60_000,
      log: { kind: "prefixed" },
    },
    health: { path: undefined, intervalMs: 1_000, timeoutMs: 1_000, patienceMs: undefined },
    ...change,
  };
  const config = { dataFolder: data, stateFolder: join(root, "state"), application, secret };
  const ground = new MachineRehearsalGround({
    config,
    clock: systemClock,
    rules: allRules,
    freePort,
    onWarning: () => undefined,
  });
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  return new Rehearsals({
    ground,
    clock: systemClock,
    log,
    freePort,
    onResult: (ok) => results.push(ok),
    onStray: (reason) => strays.push(reason),
  });
}

const serve = `require("http").createServer((_, response) => response.end("well")).listen(Number(process.env.PORT), "127.0.0.1");`;
const note = (what: string): string =>
  `require("fs").writeFileSync(${JSON.stringify(join(root, "note"))}, JSON.stringify(${what}));`;
const noted = (): unknown => JSON.parse(readFileSync(join(root, "note"), "utf8"));

describe("a rehearsal", () => {
  test("gives the application a copy of the databases alone, tells it that it is one, and leaves neither", async () => {
    const read = `{ a: require("fs").readFileSync(process.env.STEAD_DATA + "/a.db", "utf8"), all: require("fs").readdirSync(process.env.DATA_DIR, { recursive: true }).sort(), is: process.env.STEAD_REHEARSAL }`;
    const outcome = await rehearsals(note(read) + serve).run("secondary", secondary);
    expect(outcome).toMatchObject({ kind: "done", done: { ok: true, position: 7, detail: null } });
    expect(noted()).toEqual({ a: "pages of a", all: ["a.db", "sub", "sub/b.db"], is: "1" });
    expect(existsSync(join(root, "state", "rehearsal"))).toBe(false);
    expect(results).toEqual([true]);
  });

  test("names the copy where command, environment and working folder name the data folder, and leaves similar names alone", async () => {
    const seen = `{ args: process.argv.slice(-2), file: process.env.FILE, beside: process.env.BESIDE, cwd: process.cwd() }`;
    const command = [process.execPath, "-e", note(seen) + serve, "--", `--db=${data}/a.db`, `${data}.stead`] as const;
    const outcome = await rehearsals("", {
      command,
      cwd: join(data, "sub"),
      env: { FILE: `file:${data}/a.db?mode=rw`, BESIDE: `${data}base` },
    }).run("secondary", secondary);
    expect(outcome).toMatchObject({ kind: "done", done: { ok: true } });
    const copy = join(root, "state", "rehearsal", "data");
    expect(noted()).toEqual({
      args: [`--db=${copy}/a.db`, `${data}.stead`],
      file: `file:${copy}/a.db?mode=rw`,
      beside: `${data}base`,
      cwd: join(copy, "sub"),
    });
  });

  test("of an application that ends right after it was ready has failed, with what it wrote and without the cluster's secret", async () => {
    const script = `${serve} process.on("SIGTERM", () => process.exit(0)); console.error("cannot reach LDAP with ${secret}"); setTimeout(() => process.exit(3), 200);`;
    const outcome = await rehearsals(script).run("secondary", secondary);
    expect(outcome).toMatchObject({ kind: "done", done: { ok: false } });
    const detail = outcome.kind === "done" ? (outcome.done.detail ?? "") : "";
    expect(detail).toMatch(
      /the application ended \(exit code 3\)[^]*it wrote last:\ncannot reach LDAP with \[secret\]/,
    );
    expect(detail).not.toContain(secret);
    expect(results).toEqual([false]);
  });

  test("of an application that opens the replica instead of the copy has failed, and says so to its host", async () => {
    const script = `${serve} require("fs").writeFileSync(${JSON.stringify(join("data", "a.db-shm"))}, ""); process.on("SIGTERM", () => { require("fs").rmSync(${JSON.stringify(join("data", "a.db-shm"))}); process.exit(0); });`;
    const outcome = await rehearsals(script).run("secondary", secondary);
    expect(outcome).toMatchObject({
      kind: "done",
      done: {
        ok: false,
        detail: expect.stringContaining(`the application opened ${join(data, "a.db")} instead of the copy`),
      },
    });
    expect(strays).toEqual([expect.stringContaining("in a rehearsal the application opened")]);
  });

  test("that is cut while the application starts is no result: it is killed, and nothing is left", async () => {
    const one = rehearsals(`${note("process.pid")} setInterval(() => undefined, 1000);`);
    const outcome = one.run("secondary", secondary);
    while (!existsSync(join(root, "note")) || readFileSync(join(root, "note")).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await one.run("secondary", secondary)).toMatchObject({
      kind: "refused",
      refusal: { reason: expect.stringContaining("already running here") },
    });
    one.abort("a promotion came");
    await one.gone();
    expect(processRow(Number(noted()))?.isDefunct ?? true).toBe(true);
    expect(await outcome).toEqual({
      kind: "refused",
      refusal: { kind: "not_ready", reason: "the rehearsal was ended: a promotion came" },
    });
    expect([one.last, results, existsSync(join(root, "state", "rehearsal"))]).toEqual([null, [], false]);
  });
});

test("a copy that is given up ends before the next piece, with the reason", async () => {
  const cut = new AbortController();
  cut.abort(new Error("a promotion came"));
  await expect(copyDatabases(names, data, join(root, "copy"), cut.signal)).rejects.toThrow("a promotion came");
});

test("a copy of files never follows a link that the application's user may have left", async () => {
  const outside = join(root, "outside");
  mkdirSync(join(outside, "d"), { recursive: true });
  writeFileSync(join(outside, "d/a"), "root's own");
  mkdirSync(join(data, "uploads"));
  writeFileSync(join(data, "uploads/plain"), "plain");
  symlinkSync(join(outside, "d/a"), join(data, "uploads/a"));
  symlinkSync(join(outside, "d"), join(data, "uploads/d"));
  const { signal } = new AbortController();
  for (const path of ["uploads/a", "uploads/d/a"])
    await expect(copyFiles([path], data, join(root, "copy"), signal)).rejects.toBeInstanceOf(CopiedLinkError);
  expect(existsSync(join(root, "copy/uploads/a"))).toBe(false);
  await copyFiles(["uploads/plain"], data, join(root, "copy"), signal);
  expect(readFileSync(join(root, "copy/uploads/plain"), "utf8")).toBe("plain");
});

/** Where blocks are shared, a copy needs no space. */
const sharesBlocks = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), "stead-clone-"));
  try {
    writeFileSync(join(folder, "a"), "a");
    copyFileSync(join(folder, "a"), join(folder, "b"), constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
})();

test.skipIf(sharesBlocks)(
  "a rehearsal for whose copy there is no space is refused before anything is copied (tests of a disk that does not share blocks)",
  async () => {
    truncateSync(join(data, "a.db"), 2 ** 42); // Sparse: it takes no space itself.
    const outcome = await rehearsals(serve).run("secondary", secondary);
    expect(outcome).toMatchObject({
      kind: "refused",
      refusal: {
        reason: expect.stringMatching(
          /did not take place: the disk of .* has \d+ MB free; accepted is 4398\d+ MB for the copy, and 269 MB to spare/,
        ),
      },
    });
    expect([results, existsSync(join(root, "state", "rehearsal"))]).toEqual([[], false]);
  },
);

describe("the end of an output", () => {
  test("is bounded, begins with a whole line, and has no control characters", () => {
    const tail = new OutputTail([]);
    for (let line = 0; line < 10_000; line++) tail.take(Buffer.from(`line ${line}\r\n`));
    tail.take(Buffer.from("\u001b[31mred\u001b[0m \u0007bell"));
    expect(tail.text.length).toBeLessThanOrEqual(1_002);
    expect(tail.text).toMatch(/^… line \d+\nline /);
    expect(tail.text).toEndWith("line 9999\nred ?bell");
  });

  test("shows nothing of a secret, also where the secret came in two parts or lies across a bound", () => {
    for (let before = 0; before < 60; before++) {
      const tail = new OutputTail([secret]);
      tail.take(Buffer.from(secret.slice(0, 5)));
      tail.take(Buffer.from(`${secret.slice(5)}${"x".repeat(970 + before)}`));
      expect(tail.text).not.toContain(secret.slice(-6));
    }
  });
});
