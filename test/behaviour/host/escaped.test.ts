/**
 * Real processes that leave their process group, and real ones that have the files of a host open. Linux only:
 * elsewhere there is no /proc.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Leftovers } from "../../../src/host/application/leftovers.ts";
import type { Supervisor } from "../../../src/host/application/supervisor.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { canMount, withMount } from "../../e2e/mounts.ts";
import { mayMakeCgroup, type ScopeFixture, scopeOf } from "../../support/host/scope-fixture.ts";
import { supervise } from "../../support/host/supervised.ts";

let folder: string;
const supervisors: Supervisor[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-escaped-"));
  writeFileSync(join(folder, "app.db"), "");
});
afterEach(async () => {
  await Promise.all(supervisors.splice(0).map((supervisor) => supervisor.kill()));
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
};

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Reads a file that a process writes in one go. */
async function numberIn(name: string): Promise<number> {
  const path = join(folder, name);
  await until(() => existsSync(path) && readFileSync(path, "utf8").endsWith("\n"));
  return Number(readFileSync(path, "utf8"));
}

/** These tests are not about its health. */
const calm = { path: undefined, intervalMs: 1_000, timeoutMs: 1_000, patienceMs: undefined };

/** An application with a child in a session of its own, which has a database open and ignores the stop signals. */
const withDaemon = `
  require("child_process").spawn("setsid", ["sh", "-c", "trap '' TERM INT; exec 9>>app.db; echo $$ > daemon; exec sleep 1000"], { stdio: "ignore" }).unref();
  require("http").createServer((q, r) => { if (q.url === "/crash") process.exit(3); r.end(String(process.pid)); }).listen(Number(process.env.PORT), "127.0.0.1");`;

function start(command: readonly [string, ...string[]], fixture: ScopeFixture, warnings: string[] = []): Supervisor {
  const onWarning = (text: string): void => void warnings.push(text);
  const { supervisor } = supervise(
    "",
    folder,
    { command, readyPath: "/", health: calm },
    { scope: scopeOf(folder, { ...fixture, warnings }), onWarning },
  );
  supervisors.push(supervisor);
  return supervisor;
}

const ways: [string, boolean][] = [["by the mark in its environment", false]];
if (mayMakeCgroup) ways.push(["by its cgroup", true]);

describe.skipIf(process.platform !== "linux").each(ways)(
  "an application that leaves its group, found %s,",
  (_, cgroup) => {
    test("is gone after a stop, and named", async () => {
      const warnings: string[] = [];
      const supervisor = start([process.execPath, "-e", withDaemon], { cgroup }, warnings);
      await supervisor.start(await freePort());
      const daemon = await numberIn("daemon");
      await supervisor.stop();
      expect(isAlive(daemon)).toBe(false);
      expect(warnings.join("\n")).toMatch(new RegExp(`left processes behind; they are killed: .*${daemon} \\(`));
    });

    test("is gone after a kill, when the whole application was started in a session of its own", async () => {
      const supervisor = start(["setsid", process.execPath, "-e", withDaemon], { cgroup });
      const port = await freePort();
      await supervisor.start(port);
      const pids = [await numberIn("daemon"), Number(await (await fetch(`http://127.0.0.1:${port}/`)).text())];
      await supervisor.kill();
      expect(pids.filter(isAlive)).toEqual([]);
    });

    test("hears its stop signal in a session of its own, and ends by itself", async () => {
      const script = `process.on("SIGTERM", () => { require("fs").writeFileSync("bye", "bye"); process.exit(0); });
      require("http").createServer((q, r) => r.end()).listen(Number(process.env.PORT), "127.0.0.1");`;
      const supervisor = start(["setsid", process.execPath, "-e", script], { cgroup });
      await supervisor.start(await freePort());
      await supervisor.stop();
      expect(readFileSync(join(folder, "bye"), "utf8")).toBe("bye");
    });

    test("leaves nothing of itself to the next start after a crash", async () => {
      const supervisor = start([process.execPath, "-e", withDaemon], { cgroup });
      const port = await freePort();
      await supervisor.start(port);
      const daemon = await numberIn("daemon");
      await fetch(`http://127.0.0.1:${port}/crash`).catch(() => undefined);
      await until(() => !supervisor.isReady);
      await supervisor.whenReady();
      expect(isAlive(daemon)).toBe(false);
    });

    test("is told to stay in the foreground when it turns itself into a daemon, and the daemon is killed", async () => {
      const daemonized = `setsid sh -c 'echo $$ > daemon; exec sleep 1000' </dev/null >/dev/null 2>&1 & while [ ! -s daemon ]; do sleep 0.01; done`;
      const supervisor = start(["sh", "-c", daemonized], { cgroup });
      await expect(supervisor.start(await freePort())).rejects.toThrow(
        /exit code 0 \(an application has to stay in the foreground.*before it was ready/,
      );
      expect(isAlive(await numberIn("daemon"))).toBe(false);
    });

    test("that an earlier run of the host left is killed before the next one continues", async () => {
      const program = `import { scopeOf } from "${join(import.meta.dir, "../../support/host/scope-fixture.ts")}";
      import { supervise } from "${join(import.meta.dir, "../../support/host/supervised.ts")}";
      const folder = ${JSON.stringify(folder)};
      const application = { command: ["setsid", process.execPath, "-e", ${JSON.stringify(withDaemon)}], readyPath: "/" };
      await supervise("", folder, application, { scope: scopeOf(folder, { cgroup: ${cgroup} }) }).supervisor.start(${await freePort()});`;
      const host = spawn(process.execPath, ["-e", program], { stdio: "ignore" });
      children.push(host);
      const daemon = await numberIn("daemon");
      host.kill("SIGKILL");
      // The kernel kills a whole cgroup with the host; without one the daemon is still there.
      if (cgroup) await until(() => !isAlive(daemon));
      else expect(isAlive(daemon)).toBe(true);
      await scopeOf(folder, { cgroup, databases: ["app.db"] }).leftovers.ensureNone();
      expect(isAlive(daemon)).toBe(false);
    });
  },
);

/** Started by another program: without the mark. */
async function stranger(script: string, prefix: readonly string[] = []): Promise<number> {
  const [program = "sh", ...args] = [...prefix, "sh", "-c", script];
  children.push(spawn(program, args, { cwd: folder, stdio: "ignore", env: { PATH: process.env["PATH"] } }));
  return numberIn("stranger");
}

const refusalOf = (leftovers: Leftovers): Promise<string> =>
  leftovers.ensureNone().then(
    () => "none",
    (error: Error) => error.message,
  );

describe.skipIf(process.platform !== "linux")("a stranger", () => {
  const databases = ["app.db"];

  test("that has a database open for writing is refused with its number and command, and lives", async () => {
    const pid = await stranger("exec 9>>app.db; echo $$ > stranger; exec sleep 1000");
    const { leftovers } = scopeOf(folder, { databases });
    expect(await refusalOf(leftovers)).toMatch(
      new RegExp(`process ${pid} \\(sleep 1000\\) has ${folder}/app.db open for writing$`),
    );
    expect(isAlive(pid)).toBe(true);
  });

  test("that only reads a database, as a backup does, is no obstacle", async () => {
    await stranger("exec 9<app.db; echo $$ > stranger; exec sleep 1000");
    const { leftovers } = scopeOf(folder, { databases });
    await leftovers.ensureNone();
    expect(leftovers.obstacle(databases)).toBeUndefined();
  });

  test("with a connection of SQLite is an obstacle to a promotion, by the kernel's table of locks", async () => {
    const script = `const { DatabaseSync } = require("node:sqlite"); const db = new DatabaseSync("app.db"); db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
      require("fs").writeFileSync("stranger", process.pid + "\\n"); setInterval(() => db.prepare("SELECT * FROM t").all(), 1000);`;
    children.push(spawn(process.execPath, ["-e", script], { cwd: folder, stdio: "ignore" }));
    const pid = await numberIn("stranger");
    expect(scopeOf(folder).leftovers.obstacle(databases)).toContain(`process ${pid} (`);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "that sees the disk at another path, as a container does, is found by inode",
    async () => {
      const inside = `mkdir elsewhere && mount --bind "$PWD" elsewhere && cd elsewhere && exec 9>>app.db && echo $$ > stranger; exec sleep 1000`;
      const pid = await stranger(inside, ["unshare", "--mount"]);
      expect(await refusalOf(scopeOf(folder, { databases }).leftovers)).toMatch(
        new RegExp(`process ${pid} .*has ${folder}/app.db open for writing`),
      );
    },
  );
});

test.skipIf(!canMount)(
  "the database of another host on a volume of its own is not taken for one's own, although its file has the same inode number",
  async () => {
    const own = join(folder, "own");
    mkdirSync(own);
    await withMount(own, "small", async () => {
      writeFileSync(join(own, "app.db"), "");
      const inside = `mkdir other && mount -t tmpfs none other && exec 9>>other/app.db && stat -L -c %i /proc/self/fd/9 > inode && echo $$ > stranger; exec sleep 1000`;
      await stranger(inside, ["unshare", "--mount"]);
      expect(await numberIn("inode")).toBe(statSync(join(own, "app.db")).ino);
      await scopeOf(own, { databases: ["app.db"] }).leftovers.ensureNone();
    });
  },
);

test("a copied state folder gets a mark of its own", async () => {
  const { applicationMark } = await import("../../../src/host/application/mark.ts");
  const mark = applicationMark(folder);
  expect(applicationMark(folder)).toBe(mark);
  const copy = mkdtempSync(join(tmpdir(), "stead-copy-"));
  writeFileSync(join(copy, "application.mark"), readFileSync(join(folder, "application.mark")));
  expect(applicationMark(copy)).not.toBe(mark);
  rmSync(copy, { recursive: true });
});
