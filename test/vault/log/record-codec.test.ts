import { describe, expect, test } from "bun:test";
import { CorruptRecordError, UnknownFormatError } from "../../../src/vault/errors.ts";
import { recordBytesMax } from "../../../src/vault/limits.ts";
import {
  decodeRecord,
  encodedLength,
  encodeRecord,
  genesisHash,
  recordHeaderBytes,
  type RecordLayout,
  serviceTagOf,
} from "../../../src/vault/log/record-codec.ts";
import type { RecordBody, RecordHeader } from "../../../src/vault/record.ts";
import { programVersion } from "../../../src/runtime/program-version.ts";
import golden1 from "../../support/vault/golden/records-1.json";
import golden2 from "../../support/vault/golden/records-2.json";
import { goldenBodies, goldenHeader, goldenLayout, goldenService } from "../../support/vault/golden-records.ts";
import { commit, delta, seededRandom } from "../../support/vault/log-fixture.ts";

const tag = serviceTagOf("notes");
const header: RecordHeader = {
  position: 7,
  epoch: 3,
  host: "höst-1",
  nonce: "0123456789abcdef".repeat(2),
  wallTimeMs: 1_700_000_000_123.5,
  previousHash: "ab".repeat(32),
};
const bodies: readonly RecordBody[] = [
  { kind: "epoch", leaseMs: 1000, controlUrl: "http://10.0.0.1:7000", instance: "9f" },
  {
    kind: "commit",
    part: 2,
    parts: 3,
    databases: [
      delta(1, { pages: [1, 3] }),
      delta(2, { name: "data/ü.db", pageSize: 65536, pageCount: 70000, pages: [70000] }),
    ],
  },
  {
    kind: "commit",
    part: 1,
    parts: 1,
    databases: [{ name: "gone.db", pageSize: 4096, pageCount: 0, checksum: new Uint8Array(16), pages: [] }],
  },
  { kind: "commit", part: 1, parts: 1, databases: [] },
  { kind: "renew" },
  { kind: "checkpoint", checkpointPosition: 6, manifestHash: "cd".repeat(32) },
  { kind: "vacate", reason: "switchover", successor: "b" },
  { kind: "vacate", reason: "", successor: undefined },
];

const sections = [
  { kind: "requests", isRequired: false, content: new Uint8Array([1, 2, 3]) },
  { kind: "parts", isRequired: true, content: new Uint8Array(0) },
];
const known = new Set(["parts"]);
const layouts: readonly RecordLayout[] = [
  { format: 1 },
  { format: 2 },
  { format: 2, sections, steadVersion: "3.14.15" },
];
const cases = layouts.flatMap((layout) =>
  bodies.map((body, index) => ({
    layout,
    body,
    name: `of kind ${body.kind} (${index}) in format ${layout.format}${layout.format === 2 && layout.sections !== undefined ? " with sections" : ""}`,
  })),
);

function refusalOf(bytes: Uint8Array, position = 7): unknown {
  try {
    decodeRecord(tag, position, bytes, known);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("a record", () => {
  for (const { layout, body, name } of cases) {
    test(`${name} is read as it was written, and is as long as announced`, () => {
      const { bytes, hash } = encodeRecord(tag, header, body, layout);
      const plain = JSON.parse(JSON.stringify(decodeRecord(tag, 7, bytes, known), asPlain)) as unknown;
      const { format } = layout;
      const told =
        format === 1
          ? { sections: [] }
          : { sections: layout.sections ?? [], steadVersion: layout.steadVersion ?? programVersion };
      expect(plain).toEqual(JSON.parse(JSON.stringify({ header, body, format, ...told, hash }, asPlain)));
      expect(bytes.length).toBe(encodedLength(body, layout));
    });

    test(`${name} is refused with any byte flipped, missing or added`, () => {
      const { bytes } = encodeRecord(tag, header, body, layout);
      const step = bytes.length > 5000 ? 997 : 1;
      for (let at = 0; at < bytes.length; at += at < 1000 ? 1 : step) {
        for (const mask of [0x01, 0x80, 0xff]) {
          const flipped = new Uint8Array(bytes);
          flipped[at] = (flipped[at] ?? 0) ^ mask;
          const refusal = refusalOf(flipped);
          expect(refusal instanceof CorruptRecordError || refusal instanceof UnknownFormatError).toBe(true);
          if (refusal instanceof CorruptRecordError)
            expect(refusal).toMatchObject({ position: 7, key: "log/0000000000000007" });
        }
        if (at % 7 === 0) expect(refusalOf(bytes.slice(0, at))).toBeInstanceOf(CorruptRecordError);
      }
      expect(refusalOf(Buffer.concat([bytes, Buffer.from([0])]))).toBeInstanceOf(CorruptRecordError);
    });
  }

  test("at another position, or of another service, is refused", () => {
    const { bytes } = encodeRecord(tag, header, { kind: "renew" });
    expect(refusalOf(bytes, 8)).toMatchObject({
      found: expect.stringContaining(": a record of position 7"),
      accepted: "position 8",
    });
    const foreign = encodeRecord(serviceTagOf("other"), header, { kind: "renew" }).bytes;
    expect(refusalOf(foreign)).toMatchObject({
      kind: "corrupt-record",
      found: expect.stringContaining("a record of another service"),
    });
  });

  test("of an unknown version or kind is refused as unknown, not as damaged, also when it is whole", () => {
    const { bytes } = encodeRecord(tag, header, { kind: "renew" });
    const newer = Buffer.from(bytes);
    newer.writeUInt16LE(3, 4);
    expect(refusalOf(newer)).toMatchObject({
      kind: "unknown-format",
      found: expect.stringContaining(": version 3"),
      accepted: expect.stringContaining(": versions 1 and 2"),
    });
    expect(refusalOf(resealed(bytes, 6, 9))).toMatchObject({
      kind: "unknown-format",
      found: expect.stringContaining("kind 9"),
    });
  });

  test("of a later format that kept the header is refused with the version that wrote it", () => {
    const later = Buffer.from(
      encodeRecord(tag, header, { kind: "renew" }, { format: 2, steadVersion: "3.14.15" }).bytes,
    );
    expect(refusalOf(resealed(later, 4, 3))).toMatchObject({
      kind: "unknown-format",
      found: expect.stringContaining("version 3"),
      advice: "Upgrade this host first: host höst-1 wrote it with stead 3.14.15; install that version or a newer one.",
    });
  });

  test("has the same bytes whether a section's content is whole or in parts", () => {
    const content = Uint8Array.from({ length: 300 }, (_, at) => at % 256);
    const parts = [content.subarray(0, 7), new Uint8Array(0), content.subarray(7, 250), content.subarray(250)];
    const [whole, parted] = [content, parts].map((each) =>
      encodeRecord(tag, header, commit(1), {
        format: 2,
        sections: [{ kind: "files", isRequired: true, content: each }, ...sections],
      }),
    );
    expect(parted).toEqual(whole as NonNullable<typeof whole>);
  });

  test("shows its format to a version that reads format 1 only: magic, header hash and version are where they were", () => {
    const { bytes, hash } = encodeRecord(tag, header, commit(1), { format: 2, sections });
    const view = Buffer.from(bytes);
    expect({
      magic: view.toString("latin1", 0, 4),
      version: view.readUInt16LE(4),
      hash: view.toString("hex", 192, 224),
    }).toEqual({ magic: "STLG", version: 2, hash });
    // The shortest record is at least as long as the header that such a version expects.
    expect(encodedLength({ kind: "renew" }, { format: 2 })).toBeGreaterThanOrEqual(recordHeaderBytes);
  });

  test("whose hashes are right and whose content is absurd is refused before anything is allocated", () => {
    const { bytes } = encodeRecord(tag, header, commit(1));
    const countOfDatabases = Buffer.from(bytes);
    countOfDatabases.writeUInt32LE(0xffff_ffff, recordHeaderBytes + 8);
    expect(refusalOf(resealed(countOfDatabases))).toMatchObject({
      kind: "corrupt-record",
      found: expect.stringContaining("4294967295 databases"),
    });
    const countOfPages = Buffer.from(bytes);
    countOfPages.writeUInt32LE(0xffff_fff0, recordHeaderBytes + 12 + 2 + "app.db".length + 8 + 16);
    expect(refusalOf(resealed(countOfPages))).toMatchObject({
      kind: "corrupt-record",
      found: expect.stringContaining("4294967280 pages"),
    });
    const length = Buffer.from(bytes);
    length.writeUInt32LE(0xffff_ffff, 152);
    expect(refusalOf(resealed(length))).toMatchObject({
      kind: "corrupt-record",
      found: expect.stringContaining("a payload of 4294967295 bytes"),
    });
  });

  test("whose database name leads out of the data folder is refused at write and at read", () => {
    for (const name of ["../x", "/etc/x", "a/../x", "a//x", "", ".", "a\\x", "a\0x"]) {
      expect(() =>
        encodeRecord(tag, header, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { name })] }),
      ).toThrow(RangeError);
    }
    const { bytes } = encodeRecord(tag, header, {
      kind: "commit",
      part: 1,
      parts: 1,
      databases: [delta(1, { name: "xx/y" })],
    });
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
      [{}, { kind: "vacate", reason: "x".repeat(5000), successor: undefined }],
      [{}, { kind: "vacate", reason: "\udc00", successor: undefined }],
      [{}, { kind: "checkpoint", checkpointPosition: 1, manifestHash: "12" }],
      [{}, commit(1, 2, 1)],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { pages: [5] })] }],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [delta(1, { pages: [0] })] }],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [{ ...delta(1), pageSize: 1000 }] }],
      [{}, { kind: "commit", part: 1, parts: 1, databases: [{ ...delta(1), checksum: new Uint8Array(8) }] }],
    ];
    for (const [change, body] of impossible)
      expect(() => encodeRecord(tag, { ...header, ...change }, body)).toThrow(RangeError);
  });

  test("larger than the limit is refused with advice to split", () => {
    const pages = Array.from({ length: recordBytesMax / 65536 }, (_, index) => index + 1);
    const content = new Uint8Array(65536);
    const large = {
      name: "a",
      pageSize: 65536,
      pageCount: pages.length,
      checksum: new Uint8Array(16),
      pages: pages.map((number) => ({ number, content })),
    };
    expect(() => encodeRecord(tag, header, { kind: "commit", part: 1, parts: 1, databases: [large] })).toThrow(
      "split the flush",
    );
  });

  test("made of random bytes is always refused with a typed error", () => {
    const random = seededRandom(42);
    for (let round = 0; round < 3000; round += 1) {
      const { bytes } = encodeRecord(tag, header, commit(1), layouts[round % 3]);
      const mangled = Buffer.from(bytes);
      const from = Math.floor(random.fraction() * bytes.length);
      mangled.set(random.bytes(Math.min(40, bytes.length - from)), from);
      if (mangled.equals(bytes)) continue;
      const refusal = refusalOf(round % 2 === 0 ? mangled : resealed(mangled));
      const typed =
        refusal === undefined || refusal instanceof CorruptRecordError || refusal instanceof UnknownFormatError;
      expect(typed).toBe(true);
      if (round % 2 === 0) expect(refusal).toBeDefined();
    }
  });
});

/**
 * Bytes that were written once (golden-records.ts). A test that fails here means that existing logs cannot be read any
 * more: mend the codec.
 */
describe("golden bytes", () => {
  for (const [layout, golden] of [
    [{ format: 1 }, golden1],
    [goldenLayout, golden2],
  ] as const) {
    for (const [name, { base64, hash }] of Object.entries(golden)) {
      test(`of format ${layout.format}, ${name}, are read as what was written, and written again to the byte`, () => {
        const body = goldenBodies[name];
        if (body === undefined) throw new Error(`no body ${name}`);
        const bytes = Buffer.from(base64, "base64");
        const record = decodeRecord(serviceTagOf(goldenService), goldenHeader.position, bytes, known);
        const told =
          layout.format === 1
            ? { sections: [], steadVersion: undefined }
            : { sections: layout.sections, steadVersion: layout.steadVersion };
        const wanted: unknown = JSON.parse(
          JSON.stringify({ header: goldenHeader, body, format: layout.format, ...told, hash }, asPlain),
        );
        expect(JSON.parse(JSON.stringify(record, asPlain)) as unknown).toEqual(wanted);
        const again = encodeRecord(serviceTagOf(goldenService), goldenHeader, body, layout);
        expect({ hash: again.hash, same: bytes.equals(again.bytes) }).toEqual({ hash, same: true });
      });
    }
  }

  test("cover every kind of record in both formats", () => {
    expect(new Set(Object.values(goldenBodies).map(({ kind }) => kind))).toEqual(
      new Set(bodies.map(({ kind }) => kind)),
    );
    for (const golden of [golden1, golden2]) expect(Object.keys(golden)).toEqual(Object.keys(goldenBodies));
  });
});

describe("a section", () => {
  const payloadOf = (...parts: (Uint8Array | readonly number[])[]): Buffer =>
    withPayload(Buffer.concat(parts.map((part) => Buffer.from(part))));
  const section = (kind: string, flags: number, content: readonly number[] = [], length = content.length): Buffer =>
    Buffer.concat([
      Buffer.from([kind.length]),
      Buffer.from(kind, "latin1"),
      Buffer.from([flags, length & 0xff, (length >> 8) & 0xff, (length >> 16) & 0xff, length >>> 24]),
      Buffer.from(content),
    ]);
  /** A `renew` of format 2 with that payload and right hashes. */
  const withPayload = (payload: Buffer): Buffer => {
    const { bytes } = encodeRecord(tag, header, { kind: "renew" }, { format: 2, steadVersion: "3.14.15" });
    const whole = Buffer.concat([bytes.subarray(0, recordHeaderBytes), payload]);
    whole.writeUInt32LE(payload.length, 152);
    return resealed(whole);
  };
  const body = section("body", 1);

  test("of an unknown kind is skipped when it is optional, with any content", () => {
    const record = decodeRecord(
      tag,
      7,
      payloadOf(body, section("weather", 0, [1, 2]), section("parts", 1, [3])),
      known,
    );
    expect(record.body).toEqual({ kind: "renew" });
    expect(record.sections.map(({ kind, isRequired, content }) => [kind, isRequired, ...content])).toEqual([
      ["weather", false, 1, 2],
      ["parts", true, 3],
    ]);
  });

  test("of an unknown kind is refused when it is required, with its kind, the record, its writer, this version, and what to do", () => {
    const refusal = refusalOf(payloadOf(body, section("weather", 1, [1])));
    expect(refusal).toBeInstanceOf(UnknownFormatError);
    expect(refusal).toMatchObject({
      found: 'log/0000000000000007 has an unknown format: the section "weather", which must not be skipped',
      accepted: `what this version (stead ${programVersion}) knows: of such sections body, parts`,
      advice: "Upgrade this host first: host höst-1 wrote it with stead 3.14.15; install that version or a newer one.",
    });
  });

  test("with flags that this version does not know is refused as unknown", () => {
    expect(refusalOf(payloadOf(body, section("weather", 2)))).toMatchObject({
      kind: "unknown-format",
      found: expect.stringContaining('flags 2 of the section "weather"'),
    });
  });

  test("that is malformed is refused as damage", () => {
    const absurd: [Buffer, string][] = [
      [payloadOf(), "no required section body at the beginning"],
      [payloadOf(section("parts", 1), body), "no required section body at the beginning"],
      [payloadOf(section("body", 0)), "no required section body at the beginning"],
      [payloadOf(body, body), "the section body twice"],
      [payloadOf(body, section("a", 0), section("a", 0)), "the section a twice"],
      [payloadOf(body, section("", 0)), "a section without a proper kind"],
      [payloadOf(body, section("Weather", 0)), "a section without a proper kind"],
      [payloadOf(body, section("x".repeat(33), 0)), "a section without a proper kind"],
      [payloadOf(body, section("weather", 0, [1, 2], 0xffff_ffff)), "2 bytes"],
      [payloadOf(body, [3, 97]), "1 bytes"],
      [payloadOf(section("body", 1, [9])), "1 bytes after the end"],
      [payloadOf(body, ...Array.from({ length: 65 }, (_, index) => section(`s${index}`, 0))), "more than 64 sections"],
    ];
    for (const [bytes, found] of absurd)
      expect(refusalOf(bytes)).toMatchObject({
        kind: "corrupt-record",
        found: expect.stringContaining(`is damaged: ${found}`),
      });
    expect(
      refusalOf(payloadOf(body, ...Array.from({ length: 64 }, (_, index) => section(`s${index}`, 0)))),
    ).toBeUndefined();
  });

  test("that could not be read again is a programming error", () => {
    const content = new Uint8Array(1);
    for (const kinds of [
      ["body"],
      ["a", "a"],
      [""],
      ["A"],
      ["x".repeat(33)],
      Array.from({ length: 65 }, (_, index) => `s${index}`),
    ]) {
      expect(() =>
        encodeRecord(
          tag,
          header,
          { kind: "renew" },
          { format: 2, sections: kinds.map((kind) => ({ kind, isRequired: false, content })) },
        ),
      ).toThrow(RangeError);
    }
    for (const steadVersion of ["next", "256.0.0", "1.0.70000"])
      expect(() => encodeRecord(tag, header, { kind: "renew" }, { format: 2, steadVersion })).toThrow(RangeError);
  });
});

/** Computes both hashes again, as in a forged record, so that only the checks of the content are left. */
function resealed(source: Uint8Array, at?: number, value?: number): Buffer {
  const bytes = Buffer.from(source);
  if (at !== undefined && value !== undefined) bytes[at] = value;
  const hash = (from: number, to: number): Buffer =>
    new Bun.CryptoHasher("sha256").update(bytes.subarray(from, to)).digest();
  bytes.set(hash(recordHeaderBytes, bytes.length), 160);
  bytes.set(hash(0, 192), 192);
  return bytes;
}

function asPlain(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array
    ? Buffer.from(value).toString("hex")
    : isBufferJson(value)
      ? Buffer.from(value.data).toString("hex")
      : value;
}

function isBufferJson(value: unknown): value is { readonly type: "Buffer"; readonly data: number[] } {
  return typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value;
}
