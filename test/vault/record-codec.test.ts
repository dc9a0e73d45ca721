import { describe, expect, test } from "bun:test";
import { CorruptRecordError, UnknownFormatError } from "../../src/vault/errors.ts";
import { recordBytesMax } from "../../src/vault/limits.ts";
import { decodeRecord, encodedLength, encodeRecord, genesisHash, recordHeaderBytes, serviceTagOf } from "../../src/vault/record-codec.ts";
import type { RecordBody, RecordHeader } from "../../src/vault/record.ts";
import { commit, delta, seededRandom } from "./log-fixture.ts";

const tag = serviceTagOf("notes");
const header: RecordHeader = { position: 7, epoch: 3, host: "höst-1", nonce: "0123456789abcdef".repeat(2), wallTimeMs: 1_700_000_000_123.5, previousHash: "ab".repeat(32) };
const bodies: readonly RecordBody[] = [
  { kind: "epoch", leaseMs: 1000, controlUrl: "http://10.0.0.1:7000", instance: "9f" },
  { kind: "commit", part: 2, parts: 3, databases: [delta(1, { pages: [1, 3] }), delta(2, { name: "data/ü.db", pageSize: 65536, pageCount: 70000, pages: [70000] })] },
  { kind: "commit", part: 1, parts: 1, databases: [{ name: "gone.db", pageSize: 4096, pageCount: 0, checksum: new Uint8Array(16), pages: [] }] },
  { kind: "commit", part: 1, parts: 1, databases: [] },
  { kind: "renew" },
  { kind: "checkpoint", checkpointPosition: 6, manifestHash: "cd".repeat(32) },
  { kind: "vacate", reason: "switchover", successor: "b" },
  { kind: "vacate", reason: "", successor: null },
];

function refusalOf(bytes: Uint8Array, position = 7): unknown {
  try {
    decodeRecord(tag, position, bytes);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("a record", () => {
  for (const [index, body] of bodies.entries()) {
    test(`of kind ${body.kind} (${index}) comes back as it was, and is as long as announced`, () => {
      const { bytes, hash } = encodeRecord(tag, header, body);
      const plain = JSON.parse(JSON.stringify(decodeRecord(tag, 7, bytes), asPlain)) as unknown;
      expect(plain).toEqual(JSON.parse(JSON.stringify({ header, body, hash }, asPlain)));
      expect(bytes.length).toBe(encodedLength(body));
    });

    test(`of kind ${body.kind} (${index}) is refused with any byte flipped, missing or added`, () => {
      const { bytes } = encodeRecord(tag, header, body);
      const step = bytes.length > 5000 ? 997 : 1;
      for (let at = 0; at < bytes.length; at += at < 1000 ? 1 : step) {
        for (const mask of [0x01, 0x80, 0xff]) {
          const flipped = new Uint8Array(bytes);
          flipped[at] = (flipped[at] ?? 0) ^ mask;
          const refusal = refusalOf(flipped);
          expect(refusal instanceof CorruptRecordError || refusal instanceof UnknownFormatError).toBe(true);
          if (refusal instanceof CorruptRecordError) expect(refusal).toMatchObject({ position: 7, key: "log/0000000000000007" });
        }
        if (at % 7 === 0) expect(refusalOf(bytes.slice(0, at))).toBeInstanceOf(CorruptRecordError);
      }
      expect(refusalOf(Buffer.concat([bytes, Buffer.from([0])]))).toBeInstanceOf(CorruptRecordError);
    });
  }

  test("at another position, or of another service, is refused", () => {
    const { bytes } = encodeRecord(tag, header, { kind: "renew" });
    expect(refusalOf(bytes, 8)).toMatchObject({ found: "a record of position 7", expected: "position 8" });
    const foreign = encodeRecord(serviceTagOf("other"), header, { kind: "renew" }).bytes;
    expect(refusalOf(foreign)).toMatchObject({ kind: "corrupt-record", found: "a record of another service" });
  });

  test("of an unknown version or kind is refused as unknown, not as damaged, also when it is whole", () => {
    const { bytes } = encodeRecord(tag, header, { kind: "renew" });
    const newer = Buffer.from(bytes);
    newer.writeUInt16LE(2, 4);
    expect(refusalOf(newer)).toMatchObject({ kind: "unknown-format", found: "version 2", expected: "version 1" });
    expect(refusalOf(resealed(bytes, 6, 9))).toMatchObject({ kind: "unknown-format", found: "kind 9" });
  });

  test("whose hashes are right and whose content is absurd is refused before anything is allocated", () => {
    const { bytes } = encodeRecord(tag, header, commit(1));
    const countOfDatabases = Buffer.from(bytes);
    countOfDatabases.writeUInt32LE(0xffff_ffff, recordHeaderBytes + 8);
    expect(refusalOf(resealed(countOfDatabases))).toMatchObject({ kind: "corrupt-record", found: "4294967295 databases" });
    const countOfPages = Buffer.from(bytes);
    countOfPages.writeUInt32LE(0xffff_fff0, recordHeaderBytes + 12 + 2 + "app.db".length + 8 + 16);
    expect(refusalOf(resealed(countOfPages))).toMatchObject({ kind: "corrupt-record", found: "4294967280 pages" });
    const length = Buffer.from(bytes);
    length.writeUInt32LE(0xffff_ffff, 152);
    expect(refusalOf(resealed(length))).toMatchObject({ kind: "corrupt-record", found: "a payload of 4294967295 bytes" });
  });

  test("whose database name leads out of the data folder is refused at write and at read", () => {
    for (const name of ["../x", "/etc/x", "a/../x", "a//x", "", ".", "a\\x", "a\0x"]) {
      expect(() => encodeRecord(tag, header, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { name })] })).toThrow(RangeError);
    }
    const { bytes } = encodeRecord(tag, header, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { name: "xx/y" })] });
    const hostile = Buffer.from(bytes);
    hostile.write("../y", recordHeaderBytes + 14);
    expect(refusalOf(resealed(hostile))).toBeInstanceOf(CorruptRecordError);
  });

  test("that cannot be stored unchanged is a programming error", () => {
    const impossible: [Partial<RecordHeader>, RecordBody][] = [
      [{ host: "" }, { kind: "renew" }],
      [{ host: "x".repeat(65) }, { kind: "renew" }],
      [{ host: "\ud800" }, { kind: "renew" }],
      [{ nonce: "xyz" }, { kind: "renew" }],
      [{ previousHash: genesisHash.slice(1) }, { kind: "renew" }],
      [{ wallTimeMs: Number.NaN }, { kind: "renew" }],
      [{}, { kind: "epoch", leaseMs: -1, controlUrl: "", instance: "" }],
      [{}, { kind: "vacate", reason: "x".repeat(5000), successor: null }],
      [{}, { kind: "vacate", reason: "\udc00", successor: null }],
      [{}, { kind: "checkpoint", checkpointPosition: 1, manifestHash: "12" }],
      [{}, commit(1, 2, 1)],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { pages: [5] })] }],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { pages: [0] })] }],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [{ ...delta(1), pageSize: 1000 }] }],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [{ ...delta(1), checksum: new Uint8Array(8) }] }],
    ];
    for (const [change, body] of impossible) expect(() => encodeRecord(tag, { ...header, ...change }, body)).toThrow(RangeError);
  });

  test("larger than the limit is refused with advice to split", () => {
    const pages = Array.from({ length: recordBytesMax / 65536 }, (_, index) => index + 1);
    const content = new Uint8Array(65536);
    const large = { name: "a", pageSize: 65536, pageCount: pages.length, checksum: new Uint8Array(16), pages: pages.map((number) => ({ number, content })) };
    expect(() => encodeRecord(tag, header, { kind: "commit", part: 1, parts: 1, databases: [large] })).toThrow("split the flush");
  });

  test("made of random bytes is never accepted and never ends in anything but a typed refusal", () => {
    const random = seededRandom(42);
    const { bytes } = encodeRecord(tag, header, commit(1));
    for (let round = 0; round < 3000; round += 1) {
      const mangled = Buffer.from(bytes);
      const from = Math.floor(random.fraction() * bytes.length);
      mangled.set(random.bytes(Math.min(40, bytes.length - from)), from);
      if (mangled.equals(bytes)) continue;
      const refusal = refusalOf(round % 2 === 0 ? mangled : resealed(mangled));
      const typed = refusal === undefined || refusal instanceof CorruptRecordError || refusal instanceof UnknownFormatError;
      expect(typed).toBe(true);
      if (round % 2 === 0) expect(refusal).toBeDefined();
    }
  });
});

/** Computes both hashes anew, as somebody would who forges a record: what is left are the checks of the content. */
function resealed(source: Uint8Array, at?: number, value?: number): Buffer {
  const bytes = Buffer.from(source);
  if (at !== undefined && value !== undefined) bytes[at] = value;
  const hash = (from: number, to: number): Buffer => new Bun.CryptoHasher("sha256").update(bytes.subarray(from, to)).digest();
  bytes.set(hash(recordHeaderBytes, bytes.length), 160);
  bytes.set(hash(0, 192), 192);
  return bytes;
}

function asPlain(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : isBufferJson(value) ? Buffer.from(value.data).toString("hex") : value;
}

function isBufferJson(value: unknown): value is { readonly type: "Buffer"; readonly data: number[] } {
  return typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value;
}
