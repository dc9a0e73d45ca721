/**
 * E-mail from the compiled executable: its own TLS and its own authorities, to a mail server that speaks TLS from the
 * start (smtps) or after STARTTLS.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/runtime/free-ports.ts";
import { FakeMailServer, type MailServerManners } from "../support/gateway/fake-mail-server.ts";
import { certificateA, certificateLocalhost } from "../support/http/certificates.ts";
import { buildBinary, buildMsMax } from "./built-binary.ts";
import { type ProgramRun, runProgram } from "../support/run-program.ts";

let folder = "";
let binary = "";
let gateway: ChildProcess | undefined;
let server: FakeMailServer | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-mail-"));
  binary = join(folder, "stead");
  mkdirSync(join(folder, "work"));
  writeFileSync(join(folder, "work", "secret"), "a-secret-of-the-tests-only\n", { mode: 0o600 });
  writeFileSync(join(folder, "work", "password"), "p-of-the-tests\n", { mode: 0o600 });
  writeFileSync(join(folder, "work", "ca.pem"), certificateLocalhost.cert);
  writeFileSync(join(folder, "work", "other-ca.pem"), certificateA.cert);
  await buildBinary(binary);
}, buildMsMax);

afterEach(async () => {
  if (gateway !== undefined && gateway.exitCode === null) {
    const ended = new Promise((resolve) => gateway?.once("exit", resolve));
    gateway.kill("SIGKILL");
    await ended;
  }
  gateway = undefined;
  await server?.close();
  server = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const place = () => ({ cwd: join(folder, "work"), env: { HOME: folder, PATH: "" } });

/** Starts a mail server and the gateway that tells it, and has the gateway tell it now. */
async function tellMail(manners: MailServerManners, scheme: string, more: string): Promise<ProgramRun> {
  server = await FakeMailServer.listen({ ...manners, login: { user: "stead", password: "p-of-the-tests" } });
  const admin = `127.0.0.1:${await freePort("applications")}`;
  const text = `[cluster]
secret_file = "secret"
[gateway]
id = "g1"
listen = "127.0.0.1:0"
admin = "${admin}"
database = "gateway.db"
[[service]]
name = "notes"
[[service.host]]
id = "a"
control = "none"
url = "http://127.0.0.1:9"
[[notify]]
name = "mail"
to = "smtp"
url = "${scheme}://localhost:${server.port}"
from = "stead@example.org"
recipients = ["ops@example.org"]
user = "stead"
password_file = "password"
${more}
`;
  writeFileSync(join(folder, "work", "stead.toml"), text, { mode: 0o600 });
  const child = spawn(binary, ["gateway"], { ...place(), stdio: ["ignore", "ignore", "pipe"] });
  gateway = child;
  await new Promise<void>((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (part: Buffer) => {
      said += part.toString();
      if (said.includes("serving on")) resolve();
    });
    child.once("exit", () => reject(new Error(`the gateway ended: ${said}`)));
  });
  return runProgram(binary, ["notify", "test", "--json"], place());
}

test("smtps: TLS comes before the greeting, name, password and message", async () => {
  const { code, err } = await tellMail({ isTls: true }, "smtps", 'ca = "ca.pem"');
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(server?.commands.map((line) => line.split(" ")[0])).toEqual(
    expect.arrayContaining(["TLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"]),
  );
  expect(server?.commands[0]).toBe("TLS");
  expect(server?.mails).toMatchObject([{ from: "stead@example.org", to: ["ops@example.org"] }]);
});

test("smtp: STARTTLS comes before name, password and message", async () => {
  const { code, err } = await tellMail({ offersStarttls: true }, "smtp", 'ca = "ca.pem"');
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const verbs = server?.commands.map((line) => line.split(" ")[0]) ?? [];
  expect(verbs.slice(0, 5)).toEqual(["EHLO", "STARTTLS", "TLS", "EHLO", "AUTH"]);
  expect(server?.mails).toHaveLength(1);
});

test.each([
  ["smtps", { isTls: true }],
  ["smtp", { offersStarttls: true }],
])("%s: a server whose authority is not known gets neither password nor message", async (scheme, manners) => {
  const { code, err } = await tellMail(manners, scheme, 'ca = "other-ca.pem"');
  expect([code, err]).toEqual([9, expect.stringContaining("could not tell mail")]);
  expect(server?.commands.some((line) => /^(?:AUTH|MAIL)/.test(line))).toBe(false);
  expect(server?.mails).toEqual([]);
});

test("smtp: a server without STARTTLS gets neither password nor message", async () => {
  const { code } = await tellMail({}, "smtp", 'ca = "ca.pem"');
  expect(code).toBe(9);
  expect(server?.commands.some((line) => /^(?:AUTH|MAIL)/.test(line))).toBe(false);
});
