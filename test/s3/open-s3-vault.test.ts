import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { connect } from "node:net";
import { createS3Vault, openS3Vault } from "../../src/s3/open-s3-vault.ts";
import { certificateLocalhost } from "../support/http/certificates.ts";
import { type BucketOfTest, makeBucket, optionsOf, testS3Url } from "../support/s3/s3-vault.ts";
import { failureOf } from "../support/vault/log-fixture.ts";

let bucket: BucketOfTest;
let folder = "";
beforeEach(async () => {
  bucket = await makeBucket();
  folder = mkdtempSync(join(tmpdir(), "stead-s3-"));
});
afterEach(async () => {
  await bucket.dispose();
  rmSync(folder, { recursive: true, force: true });
});

test("a vault is made once, opened again, and refused to another service", async () => {
  const options = optionsOf(bucket.server.port);
  expect(await failureOf(openS3Vault(testS3Url, options))).toMatchObject({ kind: "not-a-vault" });
  await (await createS3Vault(testS3Url, "notes", options)).close();
  await (await createS3Vault(testS3Url, "notes", options)).close();
  await (await openS3Vault(testS3Url, options)).close();
  expect(await failureOf(createS3Vault(testS3Url, "other", options))).toMatchObject({ kind: "foreign-vault" });
  expect([...bucket.server.objects.keys()]).toEqual(["notes/identity.json"]);
});

test("a prefix with records and without an identity is no place for a new vault", async () => {
  await bucket.open().putIfAbsent("log/0000000000000001", Buffer.from("x"));
  expect(await failureOf(createS3Vault(testS3Url, "notes", optionsOf(bucket.server.port)))).toMatchObject({
    kind: "unsuitable",
    message: expect.stringContaining("no identity, but objects of a vault"),
  });
});

test("a bucket that ignores the condition gets no vault", async () => {
  bucket.server.behaviour.ignoresCondition = true;
  const options = optionsOf(bucket.server.port);
  expect(await failureOf(createS3Vault(testS3Url, "notes", options))).toMatchObject({ kind: "unsuitable" });
  expect(bucket.server.objects.size).toBe(0);
});

test("over TLS the certificate must be of a known authority, and of the host that is called", async () => {
  const { cert, key } = certificateLocalhost;
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, cert);
  const server = createServer({ cert, key }, (client) => {
    const target = connect(bucket.server.port, "127.0.0.1");
    client.pipe(target).pipe(client);
    for (const socket of [client, target]) socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = (server.address() as { port: number }).port;
  const options = (host: string, caPath?: string) =>
    optionsOf(port, { endpoint: { secure: true, host, port }, caPath });
  await (await createS3Vault(testS3Url, "notes", options("localhost", ca))).close();
  const requests = bucket.server.requests.length;
  for (const refused of [options("127.0.0.1", ca), options("localhost")])
    expect(await failureOf(openS3Vault(testS3Url, refused))).toMatchObject({ kind: "unavailable" });
  expect(bucket.server.requests).toHaveLength(requests);
  server.close();
});
