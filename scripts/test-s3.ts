/**
 * `./scripts/test-s3`: starts a small Ceph on the loopback interface, in a temporary folder (one monitor, one manager,
 * three OSDs on files, two copies of each object, two gateways), and runs test/e2e/real-bucket.test.ts against it.
 * Needs root and Debian's packages ceph-mon, ceph-mgr, ceph-osd and radosgw. About a minute; everything ends with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../src/runtime/free-ports.ts";
import { runCommand } from "./lib/command.ts";

const osds = 3;
const gateways = 2;
const startMsMax = 60_000;
const credentials = { accessKeyId: "AKIDOFTESTS", secretKey: "secret/of+the=tests/of+the=bucket" };

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "stead-ceph-"));
const [monitorPort = 0, ...gatewayPorts] = await freePorts(1 + gateways);
const fsid = randomUUID();
const conf = join(folder, "ceph.conf");
const running: ChildProcess[] = [];

const gatewayNames = gatewayPorts.map((_, index) => `client.rgw${index}`);
const osdNames = Array.from({ length: osds }, (_, index) => String(index));

const configuration = `[global]
fsid = ${fsid}
mon host = 127.0.0.1:${monitorPort}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
keyring = ${folder}/keyring
run dir = ${folder}
log file = ${folder}/$name.log
admin socket = ${folder}/$name.asok
osd pool default size = 2
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
bluestore block size = 4294967296
[mon.a]
mon data = ${folder}/mon
[mgr.a]
mgr data = ${folder}/mgr
[osd]
osd data = ${folder}/osd$id
osd class load list = *
osd class default list = *
${gatewayNames.map((name, index) => `[${name}]\nrgw frontends = beast endpoint=127.0.0.1:${gatewayPorts[index]} tcp_nodelay=1\n`).join("")}`;

/** Runs a command to its end. Throws with its output. */
async function run(...command: string[]): Promise<string> {
  const { code, output } = await runCommand(command, { cwd: folder, show: false });
  if (code === 0) return output;
  throw new Error(`${command.join(" ")} ended with ${code}:\n${output}`);
}

function start(program: string, ...args: string[]): void {
  const log = openSync(join(folder, `${program}-${args.join("")}.out`), "a");
  const command = [program, "-c", conf, "-f", "--setuser", "root", "--setgroup", "root", ...args];
  running.push(spawn(command[0] ?? "", command.slice(1), { cwd: folder, stdio: ["ignore", log, log] }));
}

const ceph = (...args: string[]): Promise<string> => run("ceph", "-c", conf, "--connect-timeout", "30", ...args);

/** Waits until something listens at the port. */
async function listening(port: number): Promise<void> {
  const until = Date.now() + startMsMax;
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("connect", () => socket.destroy());
      socket.on("error", () => resolve(false));
    });
    if (isThere) return;
    if (Date.now() > until) throw new Error(`nothing listens at port ${port} after ${startMsMax} ms`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function makeKeys(): Promise<void> {
  const all = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"];
  const tool = (name: string, ...caps: string[]): Promise<string> =>
    run("ceph-authtool", "keyring", "--gen-key", "-n", name, ...caps);
  await run("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *");
  const names = ["client.admin", "mgr.a", ...osdNames.map((id) => `osd.${id}`), ...gatewayNames];
  for (const name of names) await tool(name, ...all);
}

async function startCeph(): Promise<void> {
  writeFileSync(conf, configuration);
  for (const name of ["mon", "mgr", ...osdNames.map((id) => `osd${id}`)]) mkdirSync(join(folder, name));
  await makeKeys();
  await run("monmaptool", "--create", "--addv", "a", `[v2:127.0.0.1:${monitorPort}]`, "--fsid", fsid, "monmap");
  await run("ceph-mon", "-c", conf, "-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", "keyring");
  start("ceph-mon", "-i", "a");
  await listening(monitorPort);
  await ceph("auth", "import", "-i", "keyring");
  start("ceph-mgr", "-i", "a");
  for (const id of osdNames) {
    await ceph("osd", "create");
    await run("ceph-osd", "-c", conf, "-i", id, "--mkfs");
    await ceph("osd", "crush", "add", `osd.${id}`, "1.0", "root=default", "host=here");
    start("ceph-osd", "-i", id);
  }
  for (const [index, name] of gatewayNames.entries()) {
    start("radosgw", "-n", name);
    // The first one makes the pools.
    await listening(gatewayPorts[index] ?? 0);
  }
  const { accessKeyId, secretKey } = credentials;
  const user = ["--uid", "stead", "--display-name", "stead", "--access-key", accessKeyId, "--secret-key", secretKey];
  await run("radosgw-admin", "-c", conf, "-n", gatewayNames[0] ?? "", "user", "create", ...user);
}

try {
  const startedAt = Date.now();
  await startCeph();
  console.log(`Ceph runs after ${((Date.now() - startedAt) / 1000).toFixed(0)} s`);
  const place = JSON.stringify({ ports: gatewayPorts, ...credentials });
  const { code } = await runCommand(["scripts/test", "test/e2e/real-bucket.test.ts"], {
    ...{ cwd: root, show: true, env: { STEAD_TEST_S3: place } },
  });
  process.exitCode = code;
} catch (error) {
  console.error(String(error));
  console.error("needs root, and: apt-get install ceph-mon ceph-mgr ceph-osd radosgw");
  process.exitCode = 1;
} finally {
  const ended = running.map((child) => new Promise((resolve) => child.once("exit", resolve)));
  for (const child of running.toReversed()) child.kill("SIGKILL");
  await Promise.race([Promise.all(ended), new Promise((resolve) => setTimeout(resolve, 5_000))]);
  rmSync(folder, { recursive: true, force: true });
}
