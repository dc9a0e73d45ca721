import { createCipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import { expect, test } from "bun:test";
import { VaultCipher } from "../../../src/vault/store/vault-cipher.ts";

const key = new Uint8Array(32).fill(5);
const cipher = new VaultCipher(key, "a vault", "object");
const name = Buffer.from("checkpoints/0000000000000001");
const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, at) => byte ^ (b[at] ?? 0)));

test("a content comes back, also an empty one, and the same name and content give the same bytes", () => {
  for (const content of ["", "x", "a longer content".repeat(1000)].map((text) => Buffer.from(text))) {
    const encrypted = cipher.encrypt(name, content);
    expect(encrypted.bytes).toHaveLength(content.length);
    expect(cipher.decrypt(name, encrypted)).toEqual(content);
    expect(cipher.encrypt(name, content)).toEqual(encrypted);
  }
});

test("two contents of one name have different keys: their encrypted bytes do not show how they differ", () => {
  const [one, two] = ["account 1000: 7", "account 1000: 8"].map((text) => Buffer.from(text));
  if (one === undefined || two === undefined) return expect.unreachable();
  const [first, second] = [cipher.encrypt(name, one), cipher.encrypt(name, two)];
  expect(first.salt.equals(second.salt)).toBe(false);
  expect(xor(first.bytes, second.bytes).equals(xor(one, two))).toBe(false);
});

test("nothing decrypts under another name, vault, use or key, or after a change of any byte", () => {
  const encrypted = cipher.encrypt(name, Buffer.from("content"));
  expect(cipher.decrypt(Buffer.from("checkpoints/0000000000000002"), encrypted)).toBeUndefined();
  const others = [
    new VaultCipher(key, "another vault", "object"),
    new VaultCipher(key, "a vault", "record"),
    new VaultCipher(new Uint8Array(32).fill(6), "a vault", "object"),
  ];
  for (const other of others) expect(other.decrypt(name, encrypted)).toBeUndefined();
  for (const part of ["bytes", "salt", "tag"] as const)
    for (const at of encrypted[part].keys()) {
      const changed = Buffer.from(encrypted[part]);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(cipher.decrypt(name, { ...encrypted, [part]: changed })).toBeUndefined();
    }
});

/** Vaults that exist are read with it: computed here from the description alone. */
test("the format is the one that is described", () => {
  const content = Buffer.from("content");
  const derived = (purpose: string): Buffer => Buffer.from(hkdfSync("sha256", key, "a vault", purpose, 32));
  const hmac = (from: Buffer, message: Buffer): Buffer => createHmac("sha256", from).update(message).digest();
  const hashed = createHash("sha256").update(content).digest();
  const salt = hmac(derived("stead vault object salt"), Buffer.concat([name, hashed])).subarray(0, 16);
  const own = hmac(derived("stead vault object cipher"), Buffer.concat([name, salt]));
  const gcm = createCipheriv("aes-256-gcm", own, Buffer.alloc(12));
  const bytes = Buffer.concat([gcm.update(content), gcm.final()]);
  expect(cipher.encrypt(name, content)).toEqual({ bytes, salt, tag: gcm.getAuthTag() });
});
