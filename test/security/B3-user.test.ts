/**
 * Attack: the application reads the cluster's secret, the host's environment and memory, or signals the host, because
 * both have one user.
 *
 * Rule: with `host.application.user` it runs as that user (host/application/application-user.ts), and everything that
 * the host makes for it belongs to that user: restored databases, SQLite's own files, the copy of a rehearsal.
 */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPage } from "../../src/capture/page-hashes.ts";
import { Replica } from "../../src/capture/replica.ts";
import { localDatabases } from "../../src/capture/local-state.ts";
import { Source } from "../../src/capture/source.ts";
import { folderLockName } from "../../src/core/database-pattern.ts";
import { allRules } from "../../src/core/rules.ts";
import { type ApplicationUser, resolveUser } from "../../src/host/application/application-user.ts";
import { MachineRehearsalGround } from "../../src/host/application/rehearsal-ground.ts";
import { diskPlaces } from "../../src/host/machine/disk-places.ts";
import { LocalData } from "../../src/host/secondary/local-data.ts";
import { FileLock } from "../../src/runtime/file-lock.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { freePort } from "../../src/runtime/free-ports.ts";
import { supervise } from "../support/host/supervised.ts";

const otherUid = 65_534;
const isRoot = process.geteuid?.() === 0;
let folder: string;
let umask: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-b3-user-"));
  chmodSync(folder, 0o711);
  umask = process.umask(0o077);
});
afterEach(() => {
  process.umask(umask);
  rmSync(folder, { recursive: true, force: true });
});

function userOf(name: string): ApplicationUser {
  const user = resolveUser({ user: name, group: undefined });
  if (!("uid" in user)) throw new Error(user.found);
  return user;
}

/** Names of what in the folder does not belong to the user, with the owner. */
const foreignIn = (path: string): string[] =>
  [".", ...readdirSync(path, { recursive: true, encoding: "utf8" })]
    .map((name) => [name, statSync(join(path, name)).uid] as const)
    .filter(([, uid]) => uid !== otherUid)
    .map(([name, uid]) => `${name}: ${uid}`);

describe.skipIf(!isRoot)("an application of another user (tests for root)", () => {
  test("has that user, its groups, no capability and its home; it reads neither the secret nor the host, and cannot signal it", async () => {
    const data = join(folder, "data");
    mkdirSync(data);
    chownSync(data, otherUid, otherUid);
    const secret = join(folder, "secret");
    writeFileSync(secret, "the secret of the cluster");
    const script = [
      `grep -E '^(Uid|Gid|Groups|CapPrm|CapEff):' /proc/self/status`,
      `echo "$USER $LOGNAME $HOME"`,
      `cat ${secret}`,
      `cat /proc/${process.pid}/environ`,
      `kill -0 ${process.pid}`,
      `touch "$STEAD_DATA/own"`,
    ].map(
      (line) =>
        `( ${line} ) >> "$STEAD_DATA/out" 2>> "$STEAD_DATA/err" && echo yes >> "$STEAD_DATA/done" || echo no >> "$STEAD_DATA/done"`,
    );
    const server = `exec ${process.execPath} -e 'require("http").createServer((_, r) => r.end()).listen(Number(process.env.PORT), "127.0.0.1")'`;
    // A group that this user has on no machine: what counts is what was resolved, not the machine's list.
    const user = { ...userOf("nobody"), groups: [7_001, otherUid] };
    const { supervisor } = supervise(
      "",
      data,
      { command: ["/bin/sh", "-c", [...script, server].join("\n")], cwd: "/" },
      { user },
    );
    await supervisor.start(await freePort("applications"));
    await supervisor.stop();
    const read = (name: string): Promise<string> => Bun.file(join(data, name)).text();
    expect((await read("out")).replaceAll("\t", " ").trimEnd().split("\n")).toEqual([
      `Uid: ${otherUid} ${otherUid} ${otherUid} ${otherUid}`,
      `Gid: ${otherUid} ${otherUid} ${otherUid} ${otherUid}`,
      `Groups: 7001 ${otherUid} `,
      "CapPrm: 0000000000000000",
      "CapEff: 0000000000000000",
      `${user.name} ${user.name} ${user.home}`,
    ]);
    expect((await read("done")).trimEnd().split("\n")).toEqual(["yes", "yes", "no", "no", "no", "yes"]);
  });

  test("can open each file that the host's connections create beside its database", async () => {
    const data = join(folder, "data");
    mkdirSync(data);
    for (const [name, mode] of [
      ["closed.db", 0o600],
      ["shared.db", 0o640],
    ] as const) {
      const database = new Database(join(data, name));
      database.run("PRAGMA journal_mode=WAL; CREATE TABLE t (x)");
      database.close();
      chownSync(join(data, name), otherUid, otherUid);
      chmodSync(join(data, name), mode);
    }
    chownSync(data, otherUid, otherUid);
    const source = await Source.open({
      root: data,
      databases: ["*.db"],
      rules: allRules,
      clock: systemClock,
      onWarning: () => undefined,
    });
    const modes = Object.fromEntries(readdirSync(data).map((name) => [name, statSync(join(data, name)).mode & 0o777]));
    expect(foreignIn(data)).toEqual([]);
    expect(modes).toEqual({
      ...{ "closed.db": 0o600, "closed.db-wal": 0o600, "closed.db-shm": 0o600 },
      ...{ "shared.db": 0o640, "shared.db-wal": 0o640, "shared.db-shm": 0o640 },
    });
    await source.close();
  });

  test("has a data folder that the host makes, with the folders above, and databases that were another user's before", async () => {
    const folders = {
      dataFolder: join(folder, "new/data"),
      stateFolder: join(folder, "state"),
      setAsideFolder: join(folder, "state/set-aside"),
    };
    const local = new LocalData(folders, localDatabases(["*.db"]));
    await local.prepare(userOf("nobody"));
    expect([folders.dataFolder, join(folder, "new")].map((path) => statSync(path).uid)).toEqual([otherUid, otherUid]);
    expect(statSync(folders.stateFolder)).toMatchObject({ uid: 0, mode: 0o40711 });
    mkdirSync(local.previousFolder);
    writeFileSync(join(local.previousFolder, "old.db"), "", { mode: 0o640 });
    chmodSync(join(local.previousFolder, "old.db"), 0o640);
    expect(local.accessBefore("old.db", userOf("nobody"))).toEqual({ mode: 0o640, uid: otherUid, gid: otherUid });
    chownSync(join(local.previousFolder, "old.db"), otherUid, 7_001);
    expect(local.accessBefore("old.db", userOf("nobody"))).toEqual({ mode: 0o640, uid: otherUid, gid: 7_001 });
  });

  test("leads the host nowhere with links that it leaves in its data folder", async () => {
    const [data, elsewhere] = [join(folder, "data"), join(folder, "elsewhere")];
    for (const path of [data, elsewhere]) mkdirSync(path);
    chownSync(data, otherUid, otherUid);
    writeFileSync(join(elsewhere, "target"), "root's own");
    for (const name of ["notes.db", ".stead-canary", folderLockName])
      symlinkSync(join(elsewhere, name === "notes.db" ? "target" : "new"), join(data, name));
    symlinkSync(elsewhere, join(data, "tenants"));

    const replica = await Replica.open({ root: data });
    const bytes = new Uint8Array(512).fill(7);
    const page = { pageSize: 512, pageCount: 1, pages: [{ number: 1, content: bytes }], checksum: hashPage(1, bytes) };
    await replica.apply({ deltas: [{ name: "notes.db", ...page }] });
    await expect(replica.apply({ deltas: [{ name: "tenants/a.db", ...page }] })).rejects.toThrow(
      `a link at ${data}/tenants`,
    );
    await replica.close();
    expect(lstatSync(join(data, "notes.db"))).toMatchObject({ size: 512, uid: otherUid });
    expect(() => FileLock.take(join(data, folderLockName))).toThrow("symbolic link");
    const [, canary] = await diskPlaces({ dataFolder: data, stateFolder: "/dev/shm" });
    await expect(canary?.write()).rejects.toThrow("ELOOP");
    expect(readdirSync(elsewhere)).toEqual(["target"]);
    expect(await Bun.file(join(elsewhere, "target")).text()).toBe("root's own");
  });

  test("has the copy of a rehearsal, below folders that are closed to it", async () => {
    const config = {
      dataFolder: join(folder, "data"),
      stateFolder: join(folder, "state"),
      secret: "",
      application: {} as never,
    };
    mkdirSync(join(config.dataFolder, "tenants"), { recursive: true });
    mkdirSync(config.stateFolder);
    chmodSync(config.stateFolder, 0o711);
    writeFileSync(join(config.dataFolder, "tenants/a.db"), "a database");
    const ground = new MachineRehearsalGround({
      ...{ config, user: userOf("nobody"), clock: systemClock, rules: allRules },
      freePort: () => freePort("applications"),
      onWarning: () => undefined,
    });
    await ground.copy(["tenants/a.db"], new AbortController().signal);
    expect(foreignIn(join(config.stateFolder, "rehearsal/data"))).toEqual([]);
    const copy = join(config.stateFolder, "rehearsal/data/tenants/a.db");
    const { setpriv } = userOf("nobody");
    const ids = [`--reuid=${otherUid}`, `--regid=${otherUid}`, "--clear-groups"];
    expect(Bun.spawnSync([setpriv, ...ids, "cat", copy]).stdout.toString()).toBe("a database");
    expect(Bun.spawnSync([setpriv, ...ids, "ls", config.stateFolder]).exitCode).not.toBe(0);
    await ground.clear();
  });
});
