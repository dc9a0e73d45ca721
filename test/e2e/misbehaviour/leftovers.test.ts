/** Nothing of an application survives its term, however it was started, and signals to a host mean what they say. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import type { HostMember, MemberPlaces } from "../../../harness/cluster.ts";
import { descendantsOf, livingOf } from "../../../harness/process-table.ts";
import { edit, Stage } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

let stage: Stage;
afterEach(() => stage.close());

const untilReplaced = (old: HostMember): Promise<void> =>
  stage.until("another primary", async () => {
    const primary = await stage.cluster.primary();
    return primary !== undefined && primary.host !== old;
  });

/** Processes that have a file below the folder open; none where the system does not say. */
function holdersOf(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(folder));
      } catch {
        return false; // It has ended, or belongs to another user.
      }
    });
}

test("an application in a session of its own does not outlive a host that is killed", async () => {
  stage = await Stage.open({ manners: ["session"] });
  const primary = await stage.primary();
  const application = stage.applicationOf(primary);
  expect(livingOf([application])).toHaveLength(1);
  primary.process?.signal("SIGKILL");
  await untilReplaced(primary);
  await stage.until("it to be gone", () => livingOf([application]).length === 0);
});

test("an application in a session of its own does not outlive a switchover", async () => {
  stage = await Stage.open({ manners: ["session"] });
  const primary = await stage.primary();
  const application = stage.applicationOf(primary);
  expect((await stage.admin().switchover({})).kind).toBe("ok");
  await untilReplaced(primary);
  await stage.until("it to be gone", () => livingOf([application]).length === 0);
  expect(holdersOf(join(primary.folder, "data")).filter((pid) => pid === application.pid)).toEqual([]);
  expect((await stage.ask("POST", "/rows")).status).toBe(201);
});

test("when only the process that was started ends, the one in a session of its own is gone before the next one comes up", async () => {
  stage = await Stage.open({ manners: ["session"] });
  const primary = await stage.primary();
  const application = stage.applicationOf(primary);
  const parent =
    stage.happened().findLast(({ event, pid }) => event === "session" && pid === application.pid)?.parent ?? 0;
  process.kill(parent, "SIGKILL");
  await stage.until("another application", () => stage.everStarted().at(-1)?.pid !== application.pid);
  expect(livingOf([application])).toEqual([]);
  expect((await stage.ask("POST", "/rows")).status).toBe(201);
});

test("what stop.command does is done at a stop", async () => {
  stage = await Stage.prepare({ hostExtra: '\n[host.application.stop]\ncommand = ["/usr/bin/touch", "stopped"]\n' });
  await stage.startAll();
  const primary = await stage.whole();
  expect((await stage.admin().switchover({})).kind).toBe("ok");
  await untilReplaced(primary);
  await stage.until("the command to have run", () => existsSync(join(primary.folder, "stopped")));
});

test("SIGHUP to a host reloads its configuration, and the host serves on", async () => {
  stage = await Stage.open();
  const primary = await stage.primary();
  const { pid } = stage.applicationOf(primary);
  edit(primary.configFile, (text) => text.replace("[host]\n", "[host]\npriority = 7\n"));
  process.kill(primary.process?.pid ?? 0, "SIGHUP");
  await stage.until("the priority to be taken over", async () => (await stage.statusOf(primary))?.priority === 7);
  expect(primary.process?.end).toBeUndefined();
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
  expect(stage.applicationOf(primary).pid).toBe(pid);
});

test("what a reload cannot take over is refused and named, and the host serves on", async () => {
  stage = await Stage.open();
  const primary = await stage.primary();
  edit(primary.configFile, (text) => text.replace(/^listen = .*$/m, 'listen = "127.0.0.1:1"'));
  process.kill(primary.process?.pid ?? 0, "SIGHUP");
  await stage.until("the refusal in the log", () => /configuration refused.*\blisten\b/.test(stage.logOf(primary)));
  expect(primary.process?.end).toBeUndefined();
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
});

for (const signal of ["SIGQUIT", "SIGTERM"] as const) {
  test(`${signal} to a host makes it step down in order`, async () => {
    stage = await Stage.open();
    const primary = await stage.primary();
    const application = stage.applicationOf(primary);
    const ended = primary.process?.ended;
    process.kill(primary.process?.pid ?? 0, signal);
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(stage.logOf(primary)).toContain(": stepped down ");
    expect(livingOf([application])).toEqual([]);
    await stage.cluster.start(primary);
    await stage.whole();
  });
}

const missingForFirst = missingForPidNamespaces();
if (missingForFirst !== undefined) console.log(`skipped, a host as PID 1: ${missingForFirst}`);

function missingForPidNamespaces(): string | undefined {
  if (process.platform !== "linux") return "process namespaces exist on Linux only";
  const tried = spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"], { encoding: "utf8" });
  if (tried.error !== undefined) return "not installed: unshare (package util-linux)";
  return tried.status === 0 ? undefined : `the kernel refuses it: ${tried.stderr.trim()}`;
}

test.skipIf(missingForFirst !== undefined)(
  "a host as PID 1 leaves no zombie of what its application leaves behind",
  async () => {
    stage = await Stage.prepare({ hosts: 1, places: (folder) => firstOfItsOwn(folder) });
    await stage.startAll();
    const host = await stage.whole();
    const root = host.process?.pid ?? 0;
    const [first] = descendantsOf(root);
    if (first === undefined) throw new Error("the host is not there");
    expect((await stage.ask("POST", "/orphans?n=20")).status).toBe(200);
    await stage.until("the orphans to be gone, and their entries too", () => orphansBelow(root).length === 0);
    expect(childrenOf(first.pid).filter(({ state }) => state === "Z")).toEqual([]);
  },
);

function firstOfItsOwn(folder: string): MemberPlaces {
  const vault = join(folder, "vault");
  return {
    addressOf: () => "127.0.0.1",
    vaultOf: () => vault,
    vault,
    commandOf: (id, command) =>
      id.startsWith("host-") ? ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", ...command] : command,
  };
}

interface ProcessRow {
  readonly pid: number;
  readonly name: string;
  readonly state: string;
  readonly parent: number;
}

function allProcesses(): ProcessRow[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const end = stat.lastIndexOf(")");
        const [state = "", parent = ""] = stat.slice(end + 2).split(" ");
        return [{ pid: Number(name), name: stat.slice(stat.indexOf("(") + 1, end), state, parent: Number(parent) }];
      } catch {
        return []; // It ended meanwhile.
      }
    });
}

const childrenOf = (pid: number): ProcessRow[] => allProcesses().filter(({ parent }) => parent === pid);

/** The `sleep` processes that the application left, running or zombies. */
function orphansBelow(pid: number): ProcessRow[] {
  const rows = allProcesses();
  const below = (row: ProcessRow): boolean =>
    row.parent === pid || rows.some((other) => other.pid === row.parent && below(other));
  return rows.filter((row) => row.name === "sleep" && below(row));
}
