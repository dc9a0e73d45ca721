/** The places of copies: a folder and a bucket, as hosts open them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCopy, type OpenedVault, openVault } from "../../src/remote/open-vault.ts";
import { readIdentity } from "../../src/vault/store/identity.ts";
import { isDamaged, verifyVault } from "../../src/vault/verify/verify.ts";
import { testCredentials } from "../support/s3/s3-server.ts";
import { type BucketOfTest, makeBucket, settingsOf, testS3Url } from "../support/s3/s3-vault.ts";
import { FilledVault } from "../support/vault/filled-vault.ts";
import { failureOf } from "../support/vault/log-fixture.ts";

let bucket: BucketOfTest;
let folder = "";
let vault: FilledVault;
const timeoutMs = 5_000;
const never = new AbortController().signal;
beforeEach(async () => {
  bucket = await makeBucket();
  folder = mkdtempSync(join(tmpdir(), "stead-copy-"));
  vault = await new FilledVault().begin();
  await vault.commit(20);
  await vault.checkpoint();
});
afterEach(async () => {
  await bucket.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function copyTo(place: OpenedVault): Promise<void> {
  try {
    await vault.copier(place).copyUpTo(vault.writer.position, never);
    const report = await verifyVault(place, { service: vault.identity.service });
    expect(report.restorable?.upTo).toBe(vault.writer.position);
    expect(isDamaged(report)).toBe(false);
  } finally {
    await place.close();
  }
}

test("a folder that exists is a place for a copy, which is then opened like a vault", async () => {
  await copyTo(await openCopy(`file://${folder}`, { timeoutMs }));
  await copyTo(await openCopy(`file://${folder}`, { timeoutMs }));
  const opened = await openVault(`file://${folder}`, { secrets: () => [], timeoutMs });
  expect(await readIdentity(opened)).toMatchObject({ id: vault.identity.id, isCopy: true });
  await opened.close();
});

test("a folder that is missing is not made: its disk may not be mounted", async () => {
  expect(await failureOf(openCopy(`file://${folder}/missing`, { timeoutMs }))).toMatchObject({
    kind: "unsuitable",
    message: expect.stringContaining("there is no folder"),
  });
});

test("a folder with other files is no place for a copy", async () => {
  writeFileSync(join(folder, "letter.txt"), "x");
  expect(await failureOf(openCopy(`file://${folder}`, { timeoutMs }))).toMatchObject({
    message: expect.stringContaining("it has letter.txt"),
  });
});

test("a bucket is a place for a copy", async () => {
  const path = join(folder, "credentials");
  const { accessKeyId, secretKey } = testCredentials;
  const text = `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretKey}\n`;
  writeFileSync(path, text, { mode: 0o600 });
  const s3 = settingsOf(bucket.server.port, { credentials: { kind: "file", path, profile: "default" } });
  await copyTo(await openCopy(testS3Url, { timeoutMs, s3 }));
  expect([...bucket.server.objects.keys()]).toContain("notes/copy.json");
});
