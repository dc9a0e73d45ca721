import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { deriveKey, MacKey } from "../../src/runtime/mac.ts";

test("a MAC is HMAC-SHA256, whatever the lengths of key and message", () => {
  for (const keyBytes of [1, 32, 63, 64])
    for (const bytes of [0, 1, 55, 64, 192, 1_000]) {
      const [key, message] = [Buffer.alloc(keyBytes, 0xa5), Buffer.alloc(bytes, 0x3c)];
      const mac = new MacKey(key).mac(message);
      expect(mac.toString("hex")).toBe(createHmac("sha256", key).update(message).digest("hex"));
      expect(new MacKey(key).verifies(message, mac)).toBe(true);
      expect(new MacKey(Buffer.alloc(keyBytes, 0xa4)).verifies(message, mac)).toBe(false);
      expect(new MacKey(key).verifies(message, mac.subarray(1))).toBe(false);
    }
  expect(() => new MacKey(Buffer.alloc(65))).toThrow("at most 64");
});

test("a derived key is another one for each salt and purpose (RFC 5869)", () => {
  const from = Buffer.alloc(22, 0x0b);
  const derived = [deriveKey(from, "a", "x"), deriveKey(from, "b", "x"), deriveKey(from, "a", "y")];
  expect(new Set(derived.map((key) => Buffer.from(key).toString("hex"))).size).toBe(3);
  const pseudorandom = createHmac("sha256", "a").update(from).digest();
  const expected = createHmac("sha256", pseudorandom).update("x").update(Buffer.of(1)).digest();
  expect(Buffer.from(derived[0] ?? []).equals(expected)).toBe(true);
});
