/**
 * `stead init --etc` of the compiled executable in a root of its own: /etc with a user `stead`, /var/lib, /mnt and
 * /usr/local/bin are folders of this test, in a mount namespace. That user runs what the units run.
 *
 * No unit is started: that takes systemd as the first process.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
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
import { buildBinary, buildMsMax } from "./built-binary.ts";
import { type ProgramRun, runProgram } from "../support/run-program.ts";

const uid = 9_870;
const repository = join(import.meta.dirname, "../..");
const units = ["stead-gateway.service", "stead-host.service", "stead-host@.service", "stead-vault.service"];
/** Mounting takes root, and a machine that allows namespaces. */
const canMount = process.geteuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;
const analyze = Bun.which("systemd-analyze");

let root = "";

/** Runs a command where the folders of the root are in place of the machine's; `as`: the user of the units. */
function inRoot(command: string, as: "root" | "stead" = "root"): Promise<ProgramRun> {
  const places = ["etc", "var/lib", "mnt", "usr/local/bin"];
  const mounts = places.map((place) => `mount --bind ${root}/${place} /${place}`);
  const user = as === "root" ? "" : `setpriv --reuid ${uid} --regid ${uid} --clear-groups `;
  const script = [...mounts, `cd /`, `exec ${user}${command}`].join(" && ");
  return runProgram("unshare", ["-m", "sh", "-c", script], {
    ...{ cwd: root, env: { PATH: process.env["PATH"] ?? "", HOME: "/var/lib/stead", LC_ALL: "C.UTF-8" } },
  });
}

beforeAll(async () => {
  if (!canMount) return;
  root = mkdtempSync(join(tmpdir(), "stead-etc-"));
  for (const place of ["etc/systemd/system", "var/lib", "mnt/vault", "usr/local/bin"])
    mkdirSync(join(root, place), { recursive: true });
  const people = "root:x:0:0:root:/root:/bin/sh\n";
  writeFileSync(join(root, "etc/passwd"), `${people}stead:x:${uid}:${uid}::/var/lib/stead:/usr/sbin/nologin\n`);
  writeFileSync(join(root, "etc/group"), `root:x:0:\nstead:x:${uid}:\n`);
  writeFileSync(join(root, "etc/nsswitch.conf"), "passwd: files\ngroup: files\n");
  for (const unit of units)
    copyFileSync(join(repository, "examples/systemd", unit), join(root, "etc/systemd/system", unit));
  await buildBinary(join(root, "usr/local/bin/stead"));
}, buildMsMax);
afterAll(() => {
  if (root !== "") rmSync(root, { recursive: true, force: true });
});

const init = (more: string): Promise<ProgramRun> => inRoot(`stead init --etc --service notes ${more} --json`);

test.skipIf(!canMount)("what it writes is for the units' user, who checks and uses it without a fault", async () => {
  const made = await init("--create-vault --command true");
  expect(made).toMatchObject({ code: 0, err: "" });
  const ownerOf = (place: string): [number, string] => {
    const { uid: owner, mode } = statSync(join(root, place));
    return [owner, (mode & 0o777).toString(8)];
  };
  expect(ownerOf("etc/stead/stead.toml")).toEqual([0, "644"]);
  expect(ownerOf("etc/stead/stead.secret")).toEqual([uid, "600"]);
  expect(ownerOf("var/lib/stead")).toEqual([uid, "700"]);
  const inVault = readdirSync(join(root, "mnt/vault"), { recursive: true, encoding: "utf8" });
  expect(inVault.length).toBeGreaterThan(3);
  expect(inVault.filter((path) => ownerOf(join("mnt/vault", path))[0] !== uid)).toEqual([]);
  expect(await inRoot("stead config check /etc/stead/stead.toml", "stead")).toMatchObject({ code: 0, err: "" });
  const doctor = await inRoot("stead doctor /etc/stead/stead.toml --json", "stead");
  expect({ code: doctor.code, answer: JSON.parse(doctor.out) as unknown }).toEqual({
    code: 0,
    answer: { ok: true, faults: [] },
  });
});

test.skipIf(!canMount)("a vault that the user may not write to is a fault that doctor names", async () => {
  expect((await inRoot("chown -R 0:0 /mnt/vault")).code).toBe(0);
  const { code, out } = await inRoot("stead doctor /etc/stead/stead.toml --json", "stead");
  const { faults } = JSON.parse(out) as { faults: readonly { readonly check: string; readonly found: string }[] };
  expect([code, faults.filter(({ check }) => check === "vault").map(({ found }) => found)]).toEqual([
    9,
    ["the vault cannot be written: EACCES"],
  ]);
});

test.skipIf(!canMount)("a second time it overwrites nothing", async () => {
  const before = readFileSync(join(root, "etc/stead/stead.toml"), "utf8");
  const again = await init("--create-vault");
  expect([again.code, again.out]).toEqual([7, ""]);
  expect(again.err).toContain("/etc/stead/stead.toml exists already; nothing was written");
  expect(readFileSync(join(root, "etc/stead/stead.toml"), "utf8")).toBe(before);
});

test.skipIf(!canMount || analyze === null)(
  "systemd accepts the units, with the program where they name it",
  async () => {
    const { code, out, err } = await inRoot(
      `systemd-analyze verify ${units.map((unit) => `/etc/systemd/system/${unit}`).join(" ")}`,
    );
    expect({ code, said: `${out}${err}`.split("\n").filter((line) => line.includes("stead-")) }).toEqual({
      ...{ code: 0, said: [] },
    });
  },
);
