import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/load.ts";
import { gatewaySettings } from "../../src/config/settings.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-smtp-"));
  writeFileSync(join(folder, "password"), "s3cret with spaces\n", { mode: 0o600 });
  writeFileSync(join(folder, "ca.pem"), "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const usual = ['url = "smtp://mail.example"', 'from = "stead@example.org"', 'recipients = ["ops@example.org"]'];
const without = (name: string): string[] => usual.filter((line) => !line.startsWith(name));

function parsed(lines: readonly string[], to = "smtp") {
  const text = `[gateway]\nid = "g1"\nlisten = "127.0.0.1:8000"\ndatabase = "g.db"\n[[notify]]\nname = "mail"\nto = "${to}"\n${lines.join("\n")}\n`;
  const env = { STEAD_SECRET: "a-secret-of-the-tests-only", STEAD_MAIL_PASSWORD: "from a variable" };
  return parseConfig(join(folder, "stead.toml"), text, { env });
}
function targetOf(...lines: string[]) {
  const result = parsed(lines);
  if (result.kind === "invalid") throw new Error(JSON.stringify(result.problems));
  return result.config.gateway?.notify?.[0]?.to;
}

test("address, sender and recipients are enough; the port is that of submission", () => {
  expect(targetOf(...usual)).toEqual({
    ...{ kind: "smtp", host: "mail.example", port: 587, isTls: false, starttls: "required", ca: undefined },
    ...{ user: undefined, password: undefined, from: "stead@example.org", recipients: ["ops@example.org"] },
  });
  expect(targetOf('url = "smtps://[fd00::1]"', ...without("url"))).toMatchObject({
    host: "fd00::1",
    port: 465,
    isTls: true,
  });
  expect(targetOf('url = "smtp://localhost:25"', 'starttls = "off"', ...without("url"))).toMatchObject({
    ...{ port: 25, starttls: "off" },
  });
});

test("name and password come from keys of their own, a file, or a variable", () => {
  const signedIn = targetOf(...usual, 'user = "stead"', 'password_file = "password"', 'ca = "ca.pem"');
  expect(signedIn).toMatchObject({ user: "stead", password: "s3cret with spaces" });
  expect(signedIn).toMatchObject({ ca: expect.stringContaining("BEGIN CERTIFICATE") });
  expect(targetOf(...usual, 'user = "stead"', 'password = "${STEAD_MAIL_PASSWORD}"')).toMatchObject({
    password: "from a variable",
  });
});

test("no password is shown", () => {
  const result = parsed([...usual, 'user = "stead"', 'password_file = "password"']);
  if (result.kind === "invalid" || result.config.gateway === undefined) throw new Error("accepted");
  expect(JSON.stringify(gatewaySettings(result.config.gateway))).not.toContain("s3cret");
});

test.each([
  [without("url"), "notify[0]"],
  [without("from"), "notify[0]"],
  [without("recipients"), "notify[0]"],
  [[...without("recipients"), "recipients = []"], "notify[0].recipients"],
  [[...without("recipients"), 'recipients = ["Ops <ops@example.org>"]'], "notify[0].recipients[0]"],
  [[...without("from"), 'from = "stead@exämple.org"'], "notify[0].from"],
  [[...without("url"), 'url = "https://mail.example"'], "notify[0].url"],
  [[...without("url"), 'url = "smtp://stead:pass@mail.example"'], "notify[0].url"],
  [[...without("url"), 'url = "smtps://mail.example"', 'starttls = "off"'], "notify[0].starttls"],
  [[...usual, 'user = "stead"'], "notify[0].user"],
  [[...usual, 'password_file = "password"'], "notify[0].password"],
  [[...usual, 'user = "s"', 'password_file = "missing"'], "notify[0].password_file"],
  [[...usual, 'user = "s"', 'password_file = "password"', 'starttls = "off"'], "notify[0].starttls"],
  [[...usual, 'ca = "password"'], "notify[0].ca"],
  [[...usual, 'topic = "x"'], "notify[0].topic"],
])("%j is refused at %s", (lines, key) => {
  expect(parsed(lines)).toMatchObject({ kind: "invalid", problems: [{ key }] });
});

test("an address of a mail server is refused elsewhere, with what to write", () => {
  expect(parsed(['url = "smtp://mail.example"'], "webhook")).toMatchObject({
    problems: [{ key: "notify[0].url", advice: 'correct it; for e-mail write to = "smtp"' }],
  });
});
