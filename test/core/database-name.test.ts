import { expect, test } from "bun:test";
import { bytesOfName, isDatabaseName, nameOfBytes } from "../../src/core/database-name.ts";

const bytes = (...parts: (string | number)[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part]))));

test("valid UTF-8 without backslashes is its own name", () => {
  for (const text of ["a.db", "tenants/ü.db", "日本/𝄞.db", "a b%20?#.db", "\ufeffa.db", "new\nline.db"]) {
    expect(nameOfBytes(bytes(text))).toBe(text);
    expect(Buffer.from(bytesOfName(text)).toString()).toBe(text);
    expect(isDatabaseName(text)).toBe(true);
  }
});

test("other bytes and backslashes are escaped, and are read back unchanged", () => {
  const cases: [Uint8Array, string][] = [
    [bytes("caf", 0xe9, ".db"), "caf\\xe9.db"],
    [bytes("a\\b.db"), "a\\x5cb.db"],
    [bytes("a\\xe9.db"), "a\\x5cxe9.db"],
    [bytes(0xc0, 0xaf, "x"), "\\xc0\\xafx"],
    [bytes(0xed, 0xa0, 0x80), "\\xed\\xa0\\x80"],
    [bytes("t/", 0xff, "/", 0xe2, 0x82), "t/\\xff/\\xe2\\x82"],
  ];
  for (const [path, name] of cases) {
    expect(nameOfBytes(path)).toBe(name);
    expect(Buffer.from(bytesOfName(name))).toEqual(Buffer.from(path));
    expect(isDatabaseName(name)).toBe(true);
  }
});

test("random bytes have one name each, which is read back as these bytes", () => {
  let state = 7;
  const next = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648);
  const interesting = [0x5c, 0x78, 0x65, 0x39, 0xe9, 0xc3, 0xa9, 0xf0, 0x9d, 0x84, 0x9e, 0xed, 0xa0, 0x80, 0xff];
  const seen = new Map<string, string>();
  for (let round = 0; round < 20_000; round++) {
    const path = Uint8Array.from({ length: (next() % 6) + 1 }, () => interesting[next() % interesting.length] ?? 0);
    const name = nameOfBytes(path);
    const hex = Buffer.from(path).toString("hex");
    expect(Buffer.from(bytesOfName(name)).toString("hex")).toBe(hex);
    expect(seen.get(name) ?? hex).toBe(hex);
    seen.set(name, hex);
  }
});

test("a backslash that begins no escape, or escapes a byte that needs none, is not a valid name", () => {
  for (const name of [
    "a\\b.db",
    "\\x2e\\x2e/a",
    "a\\x2fb",
    "\\x61",
    "\\xE9",
    "\\xc3\\xa9",
    "a\\x5",
    "\\",
    "",
    "/a",
    "a//b",
    "a/../b",
    "./a",
    "a\0b",
  ])
    expect([name, isDatabaseName(name)]).toEqual([name, false]);
});
