/** The real probes on this machine, over a configuration with faults. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../src/runtime/free-ports.ts";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
let taken: Server;
let port = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-doctor-"));
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", () => resolve()));
  const address = taken.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
  for (const name of ["data", "vault"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "stead.secret"), "0123456789abcdef0123", { mode: 0o600 });
});
afterEach(() => {
  taken.close();
  rmSync(folder, { recursive: true, force: true });
});

async function write(values: {
  readonly vault: string;
  readonly listen: string;
  readonly other: string;
}): Promise<void> {
  const [admin, control, data] = await freePorts(3);
  writeFileSync(
    join(folder, "stead.toml"),
    `[cluster]
secret_file = "stead.secret"
[gateway]
id = "gw1"
listen = "${values.listen}"
admin = "127.0.0.1:${admin}"
advertise_admin = "http://127.0.0.1:7700"
database = "gateway.db"
[[service]]
name = "notes"
[[service.host]]
id = "b"
control = "${values.other}"
[host]
id = "a"
service = "notes"
control = "127.0.0.1:${control}"
advertise_control = "http://127.0.0.1:7701"
listen = "127.0.0.1:${data}"
advertise_data = "http://127.0.0.1:7702"
data = "data"
databases = ["*.db"]
vault = "${values.vault}"
lease = "10s"
[host.application]
command = ["true"]
`,
  );
}

const namesOf = (out: string): string[] => [
  ...new Set(
    (JSON.parse(out) as { readonly faults: readonly { readonly check: string }[] }).faults.map(({ check }) => check),
  ),
];

test("planted faults of the machine are found by the real probes", async () => {
  await write({ vault: "not-mounted", listen: `127.0.0.1:${port}`, other: "http://10.0.0.2:7701" });
  chmodSync(join(folder, "stead.secret"), 0o644);
  const { code, out } = await runStead(["doctor", "--json"], { cwd: folder });
  expect(code).toBe(9);
  expect(namesOf(out)).toEqual(expect.arrayContaining(["mount", "ports", "secret", "vault", "addresses"]));
});

test("without a fault of the configuration none of these is named, and nothing stays in the vault", async () => {
  await write({ vault: "vault", listen: "127.0.0.1:0", other: "http://127.0.0.1:7703" });
  const { out } = await runStead(["doctor", "--json"], { cwd: folder });
  // The machine of a test may have little space, and a slow disk.
  expect(namesOf(out).filter((name) => name !== "disk" && name !== "vault")).toEqual([]);
  expect(readdirSync(join(folder, "vault"))).toEqual([]);
});

test("what stead init wrote has no fault of a folder: the host makes its data folder", async () => {
  const fresh = mkdtempSync(join(folder, "fresh-"));
  await runStead(["init", "--service", "notes", "--vault", "vault", "--create-vault"], { cwd: fresh });
  const { out } = await runStead(["doctor", "--json"], { cwd: fresh });
  expect(namesOf(out).filter((name) => ["mount", "modes", "secret"].includes(name))).toEqual([]);
});
