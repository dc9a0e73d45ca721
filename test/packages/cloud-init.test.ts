/**
 * examples/cloud-init on three machines that cloud-init sets up at their first boot, as its README says: the package is
 * there instead of downloaded, and the vault's folder is mounted. Then a write, the end of the primary's host, and the
 * write by the other gateway.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterService, ClusterStatus } from "../../src/control/gateway-api.ts";
import { runProgram } from "../support/run-program.ts";
import { FreshMachine, makeBase, missingForMachines, removeMachines } from "./fresh-machine.ts";

setDefaultTimeout(120_000);

const root = join(import.meta.dirname, "../..");
const missing = missingForMachines("cloud-init");
if (missing !== undefined) console.log(`examples/cloud-init is not tested: this needs ${missing}`);

const secret = "0123456789abcdef".repeat(4);
const userData = (): string =>
  readFileSync(join(root, "examples/cloud-init/user-data"), "utf8")
    .replace("REPLACE-ME", secret)
    .replace(/^packages: .*\n/m, "")
    .replace(/^mounts:\n {2}- .*\n/m, "")
    .replace(/^ {2}- curl .*\n/m, "");

let folder = "";
const machines: FreshMachine[] = [];

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "stead-cloud-"));
  const share = join(folder, "share");
  mkdirSync(share);
  const target = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
  const release = [join(root, "scripts/release.ts"), "--out", join(folder, "release"), "--targets", target];
  const made = await runProgram(process.execPath, [...release, "--level", "1", "--dirty"], {
    ...{ cwd: root, env: process.env as Record<string, string> },
  });
  if (made.code !== 0) throw new Error(`the release failed:\n${made.out}${made.err}`);
  await makeBase("cloud-init");
  const [deb = ""] = readdirSync(join(folder, "release")).filter((each) => each.endsWith(".deb"));
  for (const number of [1, 2, 3]) {
    const files = {
      "root/stead.deb": readFileSync(join(folder, "release", deb)),
      "var/lib/cloud/seed/nocloud/user-data": userData(),
      "var/lib/cloud/seed/nocloud/meta-data": `instance-id: stead-${number}\nlocal-hostname: stead-${number}\n`,
      "etc/cloud/cloud.cfg.d/99-test.cfg": "datasource_list: [NoCloud]\nnetwork: {config: disabled}\nlocale: false\n",
    };
    machines.push(await FreshMachine.boot({ name: `stead-${number}`, folder, share, base: "cloud-init", files }));
  }
  const [one, two, three] = machines as [FreshMachine, FreshMachine, FreshMachine];
  FreshMachine.join([
    { machine: one, address: "10.0.0.1" },
    { machine: two, address: "10.0.0.2" },
    { machine: three, address: "10.0.0.3" },
  ]);
}, 600_000);

afterAll(async () => {
  for (const machine of machines) await machine.kill();
  if (folder !== "") removeMachines(folder);
}, 60_000);

async function until(
  machine: FreshMachine | undefined,
  isSo: (service: ClusterService) => boolean,
): Promise<ClusterService> {
  for (;;) {
    const { code, out } = (await machine?.run("stead status --json --config /etc/stead/stead.toml")) ?? {
      code: 1,
      out: "",
    };
    const service = code === 0 || code === 9 ? (JSON.parse(out) as ClusterStatus).services[0] : undefined;
    if (service !== undefined && isSo(service)) return service;
  }
}

async function ask(
  address: string,
  path: string,
  body?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const options = body === undefined ? "" : `, { method: "POST", body: ${JSON.stringify(body)} }`;
  const call = `const r = await fetch("http://${address}:8000${path}"${options}); console.log(JSON.stringify({ status: r.status, text: (await r.json()).text }));`;
  const { out, err } = (await machines[0]?.inNetwork(process.execPath, "-e", call)) ?? { out: "", err: "no machine" };
  if (out === "") throw new Error(`the client got no answer: ${err}`);
  return JSON.parse(out) as { status: number; text: string };
}

test.skipIf(missing !== undefined)(
  "cloud-init has no complaint about the user-data, and has done all of it",
  async () => {
    for (const machine of machines) {
      const status = await machine.run("cloud-init status --wait --long; cat /var/log/cloud-init-output.log");
      expect({ code: status.code, out: status.out }).toEqual({ code: 0, out: expect.stringContaining("status: done") });
      expect((await machine.run("stead config check /etc/stead/stead.toml")).code).toBe(0);
      expect((await machine.run("id -u stead")).out.trim()).toBe("870");
    }
  },
);

test.skipIf(missing !== undefined)(
  "the three machines are a cluster, and a note outlives the primary's host",
  async () => {
    const isWhole = ({ primary, hosts }: ClusterService): boolean =>
      primary !== null && hosts.every(({ role }) => role === "primary" || role === "secondary");
    const { primary } = await until(machines[0], isWhole);
    expect(await ask("10.0.0.1", "/notes", '{"text":"kept"}')).toEqual({ status: 201, text: "kept" });
    const at = ["a", "b", "c"].indexOf(primary ?? "");
    expect((await machines[at]?.run("systemctl kill --signal=KILL stead-host"))?.code).toBe(0);
    await until(machines[1], (service) => service.primary !== null && service.primary !== primary);
    expect(await ask("10.0.0.2", "/notes/1")).toEqual({ status: 200, text: "kept" });
    // systemd starts the killed one again.
    await until(machines[1], isWhole);
  },
);
