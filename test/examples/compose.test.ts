/**
 * examples/compose: the file is read, checked by docker-compose, and its services of stead are started as it says, by
 * runc in a network where they have their names. The store is this repository's test server, as the README says.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterService, ClusterStatus } from "../../src/control/gateway-api.ts";
import { missingForNamespaces } from "../e2e/netns/missing.ts";
import { runProgram } from "../support/run-program.ts";
import { testCredentials } from "../support/s3/s3-server.ts";
import { readCompose } from "./compose-file.ts";
import { Containers, ownedByImage, steadInside } from "./containers.ts";
import { Lan } from "./lan.ts";

setDefaultTimeout(120_000);

const example = join(import.meta.dirname, "../../examples/compose");
const file = readCompose(readFileSync(join(example, "compose.yaml"), "utf8"));
const hasCompose = Bun.which("docker-compose") !== null;
if (!hasCompose) console.log("examples/compose is not read by docker-compose: Debian's package docker-compose");
const missing =
  Bun.which("runc", { PATH: "/usr/sbin:/usr/bin" }) === null ? "Debian's package runc" : missingForNamespaces();
if (missing !== undefined) console.log(`examples/compose is not started: ${missing}`);

const names = Object.keys(file.services).filter((name) => name !== "bucket");
const addresses = Object.fromEntries(names.map((name, at) => [name, `10.0.0.${at + 11}`]));
const hosts = ["a", "b", "c"] as const;

let folder = "";
let lan: Lan;
let containers: Containers;

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "stead-compose-"));
  const source = join(folder, "compose");
  cpSync(example, source, { recursive: true });
  const inside = steadInside.map((part) => JSON.stringify(part)).join(", ");
  for (const name of readdirSync(source).filter((each) => each.startsWith("host-"))) {
    const text = readFileSync(join(source, name), "utf8");
    writeFileSync(join(source, name), text.replace('"/usr/bin/stead"', inside));
  }
  // As the README's commands make them, with the credentials that the test's store takes.
  mkdirSync(join(source, "secrets"));
  const { accessKeyId, secretKey } = testCredentials;
  const profile = `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretKey}\n`;
  for (const [name, text] of [
    ["stead.secret", `${"0123456789abcdef".repeat(4)}\n`],
    ["s3.credentials", profile],
  ] as const) {
    writeFileSync(join(source, "secrets", name), text, { mode: 0o400 });
    ownedByImage(join(source, "secrets", name));
  }
  lan = await Lan.create({ ...addresses, client: "10.0.0.50" });
  const lines = Object.entries(addresses).map(([name, address]) => `${address} ${name}\n`);
  containers = new Containers(file, { lan, source, folder, hosts: `127.0.0.1 localhost\n${lines.join("")}` });
});

afterAll(async () => {
  if (missing !== undefined) return;
  await containers.close();
  await lan.close();
  rmSync(folder, { recursive: true, force: true });
});

test("the file names the services that the README speaks of, each with a configuration of its own", () => {
  expect(Object.keys(file.services).toSorted()).toEqual([
    "bucket",
    "gateway-1",
    "gateway-2",
    "host-a",
    "host-b",
    "host-c",
    "s3",
    "vault",
  ]);
  const own = (name: string): string | undefined => file.services[name]?.volumes.find((each) => each.startsWith("./"));
  for (const name of ["gateway-1", "gateway-2", "host-a", "host-b", "host-c"])
    expect(own(name)).toBe(`./${name}.toml:/etc/stead/stead.toml:ro`);
});

test.skipIf(!hasCompose)("docker-compose accepts the file", async () => {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const read = await runProgram("docker-compose", ["-f", join(example, "compose.yaml"), "config", "--quiet"], {
    cwd: "/",
    env,
  });
  expect(read).toEqual({ code: 0, out: "", err: "" });
});

async function request(gateway: string, path: string, body?: string): Promise<{ status: number; text: string }> {
  const sent = body === undefined ? [] : ["-H", "content-type: application/json", "-d", body];
  const url = `http://${addresses[gateway]}:8000${path}`;
  const { out } = await lan.run("client", ["curl", "-s", "-w", "\n%{http_code}", ...sent, url]);
  const at = out.lastIndexOf("\n");
  return { status: Number(out.slice(at + 1)), text: out.slice(0, at) };
}

/** Asks a gateway until it is so; the test's limit bounds it. */
async function until(gateway: string, isSo: (service: ClusterService) => boolean): Promise<ClusterService> {
  for (;;) {
    const { code, out } = await containers.exec(gateway, "status", "--json", "--config", "/etc/stead/stead.toml");
    const service = code === 0 || code === 9 ? (JSON.parse(out) as ClusterStatus).services[0] : undefined;
    if (service !== undefined && isSo(service)) return service;
  }
}

test.skipIf(missing !== undefined)(
  "the services start as the file says, and a note outlives the primary's container",
  async () => {
    const store = lan.start("s3", [process.execPath, join(import.meta.dirname, "store.ts"), "8333"], {
      folder,
      log: "s3.log",
    });
    while (!readFileSync(join(folder, "s3.log"), "utf8").includes("ready")) await Bun.sleep(20);
    expect({
      code: await containers.completed("vault"),
      log: readFileSync(join(folder, "vault.log"), "utf8"),
    }).toMatchObject({ code: 0 });
    expect(await containers.completed("vault")).toBe(0);
    for (const name of [...hosts.map((id) => `host-${id}`), "gateway-1", "gateway-2"]) containers.up(name);
    const whole = await until(
      "gateway-2",
      ({ primary, hosts: found }) =>
        primary !== null && found.every(({ role }) => role === "primary" || role === "secondary"),
    );
    expect(await containers.exec("gateway-1", "liveness", "--config", "/etc/stead/stead.toml")).toMatchObject({
      code: 0,
    });
    expect(await request("gateway-1", "/notes", '{"text":"kept"}')).toMatchObject({ status: 201 });
    await containers.kill(`host-${whole.primary}`);
    await until("gateway-2", ({ primary }) => primary !== null && primary !== whole.primary);
    expect(JSON.parse((await request("gateway-2", "/notes/1")).text)).toMatchObject({ text: "kept" });
    // `docker compose up` again: it follows.
    containers.up(`host-${whole.primary}`);
    await until("gateway-1", ({ hosts: found }) =>
      found.every(({ role }) => role === "primary" || role === "secondary"),
    );
    process.kill(-(store.pid ?? 0), "SIGKILL");
  },
);
