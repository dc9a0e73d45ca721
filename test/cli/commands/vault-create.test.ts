import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testCredentials } from "../../support/s3/s3-server.ts";
import { makeBucket, testS3Url } from "../../support/s3/s3-vault.ts";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-vault-create-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const create = (service: string, name = "vault") =>
  runStead(["vault", "create", name, "--service", service], { cwd: folder });

test("a vault is made once, and making it again for the same service changes nothing", async () => {
  expect(await create("notes")).toMatchObject({ code: 0, err: "" });
  const before = readdirSync(join(folder, "vault")).toSorted();
  expect(before).toContain("identity.json");
  expect(await create("notes")).toMatchObject({ code: 0, err: "" });
  expect(readdirSync(join(folder, "vault")).toSorted()).toEqual(before);
});

test("another service's vault, a folder with other things in it and a missing parent are refused with exit code 4", async () => {
  await create("notes");
  expect(await create("other")).toMatchObject({
    code: 4,
    err: expect.stringContaining('belongs to the service "notes"'),
  });
  writeFileSync(join(folder, "file"), "");
  expect(await create("notes", ".")).toMatchObject({ code: 4, err: expect.stringContaining("not empty") });
  expect(await create("notes", "no/parent")).toMatchObject({ code: 4, err: expect.stringContaining("\n  do: ") });
});

test("a name that no service can have is refused as a wrong command line", async () => {
  expect(await create("No tes")).toMatchObject({ code: 2, err: expect.stringContaining("lower-case") });
});

test("an encrypted vault needs the secret, says what its loss means, and is made only where none is in use", async () => {
  const encrypt = (name: string, ...more: string[]) =>
    runStead(["vault", "create", name, "--service", "notes", "--encrypt", ...more], { cwd: folder });
  expect(await encrypt("vault")).toMatchObject({ code: 2, err: expect.stringContaining("--secret-file") });
  expect(readdirSync(folder)).toEqual([]);
  writeFileSync(join(folder, "secret"), "a secret of the cluster, long enough\n");
  const withSecret = ["--secret-file", "secret"];
  const made = await encrypt("vault", ...withSecret);
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/with keys, encrypted\n.*cannot be read again/) });
  expect(await encrypt("vault", ...withSecret)).toMatchObject({ code: 0 });

  await runStead(["vault", "create", "clear", "--service", "notes", ...withSecret], { cwd: folder });
  expect(await encrypt("clear", ...withSecret)).toMatchObject({
    code: 4,
    err: expect.stringContaining("rekey --encrypt"),
  });
  const rekeyed = await runStead(["vault", "rekey", "clear", "--encrypt", ...withSecret], { cwd: folder });
  expect(rekeyed).toMatchObject({ code: 0, out: expect.stringContaining("encrypted with key 2") });
  expect(await encrypt("clear", ...withSecret)).toMatchObject({ code: 0 });
});

test("a vault in a bucket is made from the configuration, which says where the bucket is; listed and verified likewise", async () => {
  const bucket = await makeBucket();
  const { accessKeyId, secretKey } = testCredentials;
  const keys = `aws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretKey}\n`;
  writeFileSync(join(folder, "s3"), `[default]\n${keys}`, { mode: 0o600 });
  writeFileSync(
    join(folder, "stead.toml"),
    `[cluster]
secret = "0123456789abcdef0123"
[host]
id = "a"
service = "notes"
control = "127.0.0.1:7701"
listen = "127.0.0.1:8001"
data = "data"
databases = ["*.db"]
vault = "${testS3Url}"
[host.vault_s3]
endpoint = "http://127.0.0.1:${bucket.server.port}"
credentials_file = "s3"
[host.application]
command = ["app"]
`,
    { mode: 0o600 },
  );
  const run = (...args: string[]) => runStead(["vault", ...args, "--config", "stead.toml"], { cwd: folder });
  expect(await run("create")).toEqual({
    ...{ code: 0, err: "" },
    out: `${testS3Url} is the vault of service notes, with its log in objects, with keys\n`,
  });
  expect(await run("ls")).toMatchObject({ code: 0, out: expect.stringContaining(testS3Url) });
  expect(await run("create", "--log", "segments")).toMatchObject({ code: 2 });
  expect(await run("create", "--service", "other")).toMatchObject({ code: 2 });
  expect(await create("notes", testS3Url)).toMatchObject({ code: 2, err: expect.stringContaining("--config") });
  bucket.server.behaviour.versioning = "Enabled";
  expect(await run("verify")).toMatchObject({ code: 4, err: expect.stringContaining("has versions") });
  await bucket.dispose();
});
