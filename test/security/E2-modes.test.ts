/**
 * Attack: another user of the machine reads customers' rows. The vault and the gateway's database were 0755 and 0644, a
 * restored database belonged to the host's user with a mode of its own, whatever it had been before.
 *
 * Rule: every process of stead has umask 077, and gives the application back the one that it was started with; a
 * database that is restored gets the mode and owner that it had here; a vault that others can read is named.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
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
import { pathToFileURL } from "node:url";
import { hashPage } from "../../src/capture/page-hashes.ts";
import { Replica } from "../../src/capture/replica.ts";
import { ReplicaDisk } from "../../src/gateway/state/replication-disk.ts";
import { openStore, whyReadableByOthers } from "../../src/vault/store/open-store.ts";

let folder: string;
let umask: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-modes-"));
  umask = process.umask();
});
afterEach(() => {
  process.umask(umask);
  rmSync(folder, { recursive: true, force: true });
});

const modeOf = (path: string): number => statSync(path).mode & 0o777;
const main = new URL("../../src/main.ts", import.meta.url).pathname;
/** Runs the program under a umask with which every user could read its files. */
function stead(...args: readonly string[]): string {
  const ran = Bun.spawnSync(["/bin/sh", "-c", 'umask 000; exec "$@"', "sh", process.execPath, main, ...args], {
    cwd: folder,
  });
  return `${ran.exitCode} ${ran.stderr.toString()}`;
}

test("nothing that `stead init --create-vault` writes is for others", () => {
  const made = join(folder, "made");
  const vault = join(folder, "vault");
  expect(stead("init", made, "--service", "notes", "--vault", vault, "--create-vault")).toStartWith("0 ");
  const open = [made, vault].flatMap((root) =>
    [".", ...readdirSync(root, { recursive: true, encoding: "utf8" })]
      .map((name) => join(root, name))
      .filter((path) => (modeOf(path) & 0o077) !== 0),
  );
  expect(open).toEqual([]);
});

test("the application has the umask of the host's start, also while it is stopped", async () => {
  const out = join(folder, "umask");
  const program = ["sh", "-c", `umask >> ${out}`];
  const environment = { PATH: process.env["PATH"] };
  const starts = `
    import { Watched } from ${JSON.stringify(new URL("../../src/host/application/watcher.ts", import.meta.url).pathname)};
    import { runStopCommand } from ${JSON.stringify(new URL("../../src/host/application/stop-command.ts", import.meta.url).pathname)};
    import { restrictUmask } from ${JSON.stringify(new URL("../../src/runtime/umask.ts", import.meta.url).pathname)};
    restrictUmask();
    const options = { command: ${JSON.stringify(program)}, cwd: ${JSON.stringify(folder)}, env: ${JSON.stringify(environment)} };
    await new Watched({ ...options, cgroup: undefined }).ended;
    await runStopCommand({ ...options, timeoutMs: 5_000 });
    await Bun.write(${JSON.stringify(join(folder, "own"))}, "");`;
  writeFileSync(join(folder, "start.ts"), starts);
  const command = ["/bin/sh", "-c", 'umask 027; exec "$@"', "sh", process.execPath, join(folder, "start.ts")];
  expect(await Bun.spawn(command).exited).toBe(0);
  expect(readFileSync(out, "utf8")).toBe("0027\n0027\n");
  expect(modeOf(join(folder, "own")) & 0o077).toBe(0);
});

test("a restored database has the mode and the owner that it had, a new one those of its folder", async () => {
  const isRoot = process.geteuid?.() === 0;
  const owner = isRoot ? 12_345 : (process.geteuid?.() ?? 0);
  if (isRoot) chownSync(folder, owner, owner);
  chmodSync(folder, 0o750);
  const accessBefore = (name: string) => (name === "known.db" ? { mode: 0o664, uid: owner, gid: owner } : undefined);
  const replica = await Replica.open({ root: folder, accessBefore });
  const bytes = new Uint8Array(512).fill(7);
  const checksum = hashPage(1, bytes);
  for (const name of ["known.db", "sub/dir/new.db"])
    await replica.apply({
      deltas: [{ name, pageSize: 512, pageCount: 1, pages: [{ number: 1, content: bytes }], checksum }],
    });
  await replica.close();
  const found = ["known.db", "sub/dir/new.db", "sub/dir"].map((name) => statSync(join(folder, name)));
  expect(found.map(({ mode }) => mode & 0o777).slice(0, 2)).toEqual([0o664, 0o640]);
  expect(found.map(({ uid }) => uid)).toEqual([owner, owner, owner]);
});

test("the gateway's database is its own, also one of an earlier version", async () => {
  const path = join(folder, "gateway.db");
  const first = await ReplicaDisk.open(path);
  first.disk.close();
  chmodSync(path, 0o644);
  const { disk } = await ReplicaDisk.open(path);
  const files = readdirSync(folder).filter((name) => name.startsWith("gateway.db") && !name.endsWith(".lock"));
  expect(files.filter((name) => (modeOf(join(folder, name)) & 0o077) !== 0)).toEqual([]);
  disk.close();
});

test("a vault that others can read is named, with what to do", async () => {
  const vault = join(folder, "vault");
  mkdirSync(vault);
  for (const [mode, isNamed] of [
    [0o755, true],
    [0o701, true],
    [0o770, false],
    [0o700, false],
  ] as const) {
    chmodSync(vault, mode);
    const why = await whyReadableByOthers(pathToFileURL(vault).href);
    expect([mode, why?.includes(`chmod o-rwx ${vault}`) ?? false]).toEqual([mode, isNamed]);
  }
});

test("a vault of a group stays one: its members can read and write what a host puts there, others cannot", async () => {
  const made = join(folder, "made");
  const vault = join(folder, "vault");
  stead("init", made, "--service", "notes", "--vault", vault, "--create-vault");
  for (const [mode, bits] of [
    [0o700, 0o600],
    [0o2770, 0o660],
  ] as const) {
    chmodSync(vault, mode);
    process.umask(0o077);
    const store = await openStore(pathToFileURL(vault).href);
    const key = `log/${String(mode).padStart(20, "0")}`;
    await store.putIfAbsent(key, new Uint8Array([1]));
    await store.close();
    expect(modeOf(join(vault, key))).toBe(bits);
  }
});
