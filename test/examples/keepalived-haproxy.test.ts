/**
 * examples/keepalived-haproxy: all of it runs in network
 * namespaces with the addresses that they name. In front of a client die a primary, a gateway, and HAProxy of the
 * server that has the address. /etc/stead, /var/lib/stead and /mnt/vault are folders of the test, and `stead` is this
 * repository's.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterService, ClusterStatus } from "../../src/control/gateway-api.ts";
import { selfCommand } from "../../src/runtime/self-command.ts";
import { missingForNamespaces } from "../e2e/netns/missing.ts";
import { Lan } from "./lan.ts";
import { LanClient } from "./lan-client.ts";

setDefaultTimeout(120_000);

const example = join(import.meta.dirname, "../../examples/keepalived-haproxy");
const programs = { haproxy: "haproxy", keepalived: "keepalived", curl: "curl" };
const path = `${process.env["PATH"]}:/usr/sbin:/sbin`;
const absent = Object.entries(programs).filter(([program]) => Bun.which(program, { PATH: path }) === null);
const missing =
  absent.length > 0
    ? `Debian's packages ${absent.map(([, packageName]) => packageName).join(", ")}`
    : missingForNamespaces();
if (missing !== undefined) console.log(`examples/keepalived-haproxy is not started: ${missing}`);

const machines = {
  ...{ front1: "10.0.0.5", front2: "10.0.0.6", a: "10.0.0.11", b: "10.0.0.12", client: "10.0.0.50" },
};
type Machine = keyof typeof machines;

let folder = "";
let lan: Lan;
const running = new Map<string, ChildProcess>();

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "stead-keepalived-"));
  lan = await Lan.create(machines);
  mkdirSync(join(folder, "vault"));
  for (const [machine, file] of [
    ["front1", "gateway-1.toml"],
    ["front2", "gateway-2.toml"],
    ["a", "host-a.toml"],
    ["b", "host-b.toml"],
  ] as const) {
    for (const each of ["etc", "lib"]) mkdirSync(join(folder, machine, each), { recursive: true });
    writeFileSync(join(folder, machine, "etc/stead.secret"), "0123456789abcdef0123456789abcdef\n", { mode: 0o600 });
    writeFileSync(configOf(machine), here(readFileSync(join(example, file), "utf8"), machine), { mode: 0o600 });
  }
});

afterAll(async () => {
  if (missing !== undefined) return;
  await lan.close();
  rmSync(folder, { recursive: true, force: true });
});

const configOf = (machine: Machine): string => join(folder, machine, "etc/stead.toml");

/** The file with this test's folders and program. */
const here = (text: string, machine: Machine): string =>
  text
    .replaceAll("/etc/stead", join(folder, machine, "etc"))
    .replaceAll("/var/lib/stead", join(folder, machine, "lib"))
    .replaceAll("/mnt/vault", join(folder, "vault"))
    .replaceAll(
      '"/usr/bin/stead"',
      selfCommand()
        .map((part) => JSON.stringify(part))
        .join(", "),
    );

function start(name: string, machine: Machine, ...command: readonly string[]): void {
  running.set(name, lan.start(machine, command, { folder: join(folder, machine), log: `${name}.log` }));
}

async function kill(name: string): Promise<void> {
  const child = running.get(name);
  if (child === undefined) throw new Error(`${name} does not run`);
  const ended = once(child, "exit");
  process.kill(-(child.pid ?? 0), "SIGKILL");
  await ended;
}

async function succeed(machine: Machine, ...command: readonly string[]): Promise<string> {
  const { code, out, err } = await lan.run(machine, command);
  expect({ command, code, said: code === 0 ? "" : `${out}${err}` }).toEqual({ command, code: 0, said: "" });
  return out;
}

/** Asks a gateway until it is so; the test's limit bounds it. */
async function until(machine: Machine, isSo: (service: ClusterService) => boolean): Promise<ClusterService> {
  for (;;) {
    const { code, out } = await lan.run(machine, [...selfCommand(), "status", "--json", "--config", configOf(machine)]);
    const service = code === 0 || code === 9 ? (JSON.parse(out) as ClusterStatus).services[0] : undefined;
    if (service !== undefined && isSo(service)) return service;
  }
}

async function untilAddressAt(machine: Machine): Promise<void> {
  while (!(await succeed(machine, "ip", "-4", "address", "show", "dev", "eth0")).includes("10.0.0.100/24"));
}

function startFront(number: 1 | 2): void {
  const machine: Machine = `front${number}`;
  start(`gateway-${number}`, machine, ...selfCommand(), "gateway", configOf(machine));
  start(`haproxy-${number}`, machine, "haproxy", "-db", "-f", join(example, "haproxy.cfg"));
  const pid = (name: string): string => join(folder, machine, `${name}.pid`);
  const config = join(example, `keepalived-${number}.conf`);
  const files = ["--pid", pid("keepalived"), "--vrrp_pid", pid("vrrp")];
  start(`keepalived-${number}`, machine, "keepalived", "--dont-fork", "--log-console", "--use-file", config, ...files);
}

test.skipIf(missing !== undefined)("HAProxy and stead accept their files", async () => {
  await succeed("front1", "haproxy", "-c", "-f", join(example, "haproxy.cfg"));
  for (const machine of ["front1", "front2", "a", "b"] as const)
    await succeed(machine, ...selfCommand(), "config", "check", configOf(machine));
});

test.skipIf(missing !== undefined)(
  "a primary, a gateway and HAProxy die: reads never fail before the address moves",
  async () => {
    const secret = join(folder, "a", "etc/stead.secret");
    const vault = join(folder, "vault/notes");
    await succeed("a", ...selfCommand(), "vault", "create", vault, "--service", "notes", "--secret-file", secret);
    for (const id of ["a", "b"] as const) start(`host-${id}`, id, ...selfCommand(), "host", configOf(id));
    startFront(1);
    await untilAddressAt("front1");
    startFront(2);
    const whole = await until(
      "front2",
      ({ primary, hosts }) => primary !== null && hosts.every(({ role }) => role === "primary" || role === "secondary"),
    );

    const client = new LanClient(lan, "client", "http://10.0.0.100");
    await client.whenMore(5);
    const primary = whole.primary as "a" | "b";
    await kill(`host-${primary}`);
    await until("front1", (service) => service.primary !== null && service.primary !== primary);
    await client.whenMore(5);
    await kill("gateway-1");
    await client.whenMore(20);
    // The gateways have answered HAProxy's checks, which ask in HTTP/1.0 without a host.
    expect(readFileSync(join(folder, "front1/haproxy-1.log"), "utf8")).not.toContain("Layer7 wrong status, code: 400");
    const before = await client.report();
    expect(before).toMatchObject({ failedReads: [], missing: [] });

    const patient = new LanClient(lan, "client", "http://10.0.0.100");
    await patient.whenMore(1);
    await kill("haproxy-1");
    await untilAddressAt("front2");
    await patient.whenMore(5);
    expect((await patient.report()).missing).toEqual([]);
    expect(await succeed("front1", "ip", "-4", "address", "show", "dev", "eth0")).not.toContain("10.0.0.100");
  },
);
