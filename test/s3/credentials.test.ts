import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CredentialBook } from "../../src/s3/credentials.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-credentials-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const fromEnvironment = (env: Record<string, string>) => new CredentialBook({ kind: "environment" }, env).current();
const inFile = (text: string, profile = "default"): CredentialBook => {
  const path = join(folder, "credentials");
  writeFileSync(path, text);
  return new CredentialBook({ kind: "file", path, profile }, {});
};

test("the environment's are those of stead, and not those that the application may have", () => {
  expect(
    fromEnvironment({
      STEAD_S3_ACCESS_KEY_ID: "id",
      STEAD_S3_SECRET_ACCESS_KEY: "key",
      STEAD_S3_SESSION_TOKEN: "token",
    }),
  ).toEqual({ accessKeyId: "id", secretKey: "key", sessionToken: "token" });
  expect(() => fromEnvironment({ AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "key" })).toThrow(
    "STEAD_S3_ACCESS_KEY_ID is missing in the environment",
  );
});

test("a file has profiles, and the one that is named is used alone", () => {
  const text =
    "[default]\naws_access_key_id = id\naws_secret_access_key = a/b+c=\n\n[ other ]\naws_access_key_id=other\n";
  expect(inFile(text).current()).toEqual({ accessKeyId: "id", secretKey: "a/b+c=", sessionToken: undefined });
  expect(() => inFile(text, "other").current()).toThrow("aws_secret_access_key is missing in [other]");
  expect(() => inFile(text, "none").current()).toThrow("aws_access_key_id is missing in [none]");
});

test("a file that has changed is read again", () => {
  const text = (key: string): string => `[default]\naws_access_key_id = id\naws_secret_access_key = ${key}\n`;
  const book = inFile(text("one"));
  expect(book.current().secretKey).toBe("one");
  writeFileSync(join(folder, "credentials"), text("another"));
  expect(book.current().secretKey).toBe("another");
});

test("what is refused is named without its content", () => {
  const refused = (): unknown =>
    fromEnvironment({ STEAD_S3_ACCESS_KEY_ID: "id", STEAD_S3_SECRET_ACCESS_KEY: "my key" });
  expect(refused).toThrow("STEAD_S3_SECRET_ACCESS_KEY is no word of visible ASCII characters");
  expect(refused).not.toThrow("my key");
  const missing = new CredentialBook({ kind: "file", path: join(folder, "none"), profile: "default" }, {});
  expect(() => missing.current()).toThrow("cannot be read (ENOENT)");
});
