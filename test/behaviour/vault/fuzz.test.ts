/**
 * Records and manifests whose hashes are right and whose content is not, as a defect of a writer or another version
 * would leave them: refused by name, or read as exactly what is there.
 */
import { createHash } from "node:crypto";
import { expect, test } from "bun:test";
import { decodeManifest, encodeManifest } from "../../../src/vault/checkpoint/checkpoint-manifest.ts";
import { CorruptRecordError, DamagedManifestError, UnknownFormatError } from "../../../src/vault/errors.ts";
import {
  decodeRecord,
  encodeRecord,
  recordHeaderBytes,
  type RecordLayout,
  serviceTagOf,
} from "../../../src/vault/log/record-codec.ts";
import type { RecordBody } from "../../../src/vault/record.ts";
import { commit, seededRandom, service } from "../../support/vault/log-fixture.ts";

const tag = serviceTagOf(service);
const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();
const header = {
  position: 7,
  epoch: 3,
  host: "app1",
  nonce: "0123456789abcdef0123456789abcdef",
  wallTimeMs: 1_700_000_000_000,
  previousHash: "ab".repeat(32),
};
const bodies: readonly RecordBody[] = [
  { kind: "epoch", leaseMs: 1_000, controlUrl: "http://10.0.0.1:7701", instance: "run" },
  commit(3),
  commit(4, 2, 3),
  { kind: "renew" },
  { kind: "checkpoint", checkpointPosition: 5, manifestHash: "cd".repeat(32) },
  { kind: "vacate", reason: "switchover", successor: "app2" },
  { kind: "vacate", reason: "", successor: undefined },
];

const section = { kind: "requests", isRequired: false, content: new Uint8Array([1, 2, 3]) };
const layouts: readonly RecordLayout[] = [
  { format: 1 },
  { format: 2 },
  { format: 2, sections: [section, { ...section, kind: "parts", isRequired: true }] },
];
const known = new Set(["parts"]);

/** Both hashes made right again, as both formats have them (record-codec.ts). */
function sealed(bytes: Uint8Array): Uint8Array {
  bytes.set(sha256(bytes.subarray(recordHeaderBytes)), 160);
  bytes.set(sha256(bytes.subarray(0, 192)), 192);
  return bytes;
}

function outcomeOf<T>(
  read: () => T,
): { readonly kind: "read"; readonly value: T } | { readonly kind: "refused"; readonly error: unknown } {
  try {
    return { kind: "read", value: read() };
  } catch (error) {
    return { kind: "refused", error };
  }
}

test("a record with right hashes is refused by name, or says exactly what its bytes are", () => {
  const seen = { read: 0, refused: 0 };
  for (let seed = 1; seed <= 20_000; seed++) {
    const random = seededRandom(seed);
    const below = (limit: number): number => Math.floor(random.fraction() * limit);
    const body = bodies[below(bodies.length)] ?? { kind: "renew" };
    const whole = encodeRecord(tag, header, body, layouts[below(layouts.length)]).bytes;
    const grown = below(4) === 0 ? below(40) - 20 : 0;
    const bytes = new Uint8Array(Math.max(recordHeaderBytes, whole.length + grown));
    bytes.set(whole.subarray(0, bytes.length));
    for (let count = 1 + below(3); count > 0; count--) {
      // Mostly where the fields are: pages are the same everywhere.
      const at = below(2) === 0 ? below(160) : Math.min(bytes.length - 1, recordHeaderBytes + below(80));
      bytes[at] = [0, 255, (bytes[at] ?? 0) ^ (1 << below(8)), below(256)][below(4)] ?? 0;
    }
    if (grown !== 0 && below(2) === 0)
      new DataView(bytes.buffer).setUint32(152, bytes.length - recordHeaderBytes, true);
    const outcome = outcomeOf(() => decodeRecord(tag, header.position, sealed(bytes), known));
    seen[outcome.kind] += 1;
    if (outcome.kind === "refused") {
      const isNamed = outcome.error instanceof CorruptRecordError || outcome.error instanceof UnknownFormatError;
      expect({ seed, isNamed, error: isNamed ? "" : String(outcome.error) }).toEqual({
        seed,
        isNamed: true,
        error: "",
      });
      continue;
    }
    const { format, sections, steadVersion } = outcome.value;
    const again = outcomeOf(
      () =>
        encodeRecord(
          tag,
          outcome.value.header,
          outcome.value.body,
          format === 1 ? { format } : { format, sections, steadVersion },
        ).bytes,
    );
    expect({ seed, again: again.kind === "read" && Buffer.from(again.value).equals(bytes) }).toEqual({
      seed,
      again: true,
    });
  }
  expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(1_000);
});

const manifest = {
  ...{
    position: 7,
    hash: "ab".repeat(32),
    epoch: 3,
    epochPosition: 5,
    wallTimeMs: 1_700_000_000_000,
    previous: { position: 2, manifestHash: "cd".repeat(32) },
    scrubbedTo: "",
  },
  databases: [
    {
      name: "tenants/a.db",
      pageSize: 4_096,
      pageCount: 300,
      checksum: new Uint8Array(16).fill(7),
      chunks: [] as string[],
    },
  ],
};
const strange: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  1e300,
  2 ** 53,
  "",
  "..",
  "/etc/passwd",
  "a/../../b",
  "x".repeat(300),
  [],
  {},
  [[]],
  "\u0000",
];

function mutate(value: unknown, below: (limit: number) => number): unknown {
  if (typeof value === "object" && value !== null && below(6) > 0) {
    const entries = Object.entries(value);
    const at = below(Math.max(1, entries.length));
    const [name, content] = entries[at] ?? ["0", null];
    const changed =
      below(8) === 0 ? entries.toSpliced(at, 1) : entries.toSpliced(at, 1, [name, mutate(content, below)]);
    return Array.isArray(value) ? changed.map(([, item]) => item as unknown) : Object.fromEntries(changed);
  }
  return strange[below(strange.length)];
}

test("a manifest with a right hash is refused by name, or says exactly what its bytes are", () => {
  const chunks = Array.from(
    { length: 2 },
    (_, index) => `chunks/0000000000000007/${sha256(String(index)).toString("hex")}`,
  );
  const { bytes } = encodeManifest({
    ...manifest,
    databases: manifest.databases.map((database) => ({ ...database, chunks })),
  });
  const line = Buffer.from(bytes).toString("utf8").split("\n")[0] ?? "";
  expect(decodeManifest(7, bytes).databases[0]?.chunks).toEqual(chunks);
  const seen = { read: 0, refused: 0 };
  for (let seed = 1; seed <= 5_000; seed++) {
    const random = seededRandom(seed);
    const below = (limit: number): number => Math.floor(random.fraction() * limit);
    let text = JSON.stringify(mutate(JSON.parse(line), below));
    if (below(5) === 0)
      text = text.slice(0, below(text.length)) + String.fromCharCode(below(128)) + text.slice(below(text.length));
    text += "\n";
    const outcome = outcomeOf(() => decodeManifest(7, Buffer.from(`${text}sha256 ${sha256(text).toString("hex")}\n`)));
    seen[outcome.kind] += 1;
    if (outcome.kind === "refused") {
      const isNamed = outcome.error instanceof DamagedManifestError || outcome.error instanceof UnknownFormatError;
      expect({ seed, isNamed, error: isNamed ? "" : String(outcome.error) }).toEqual({
        seed,
        isNamed: true,
        error: "",
      });
      continue;
    }
    const { manifestHash, ...content } = outcome.value;
    expect(manifestHash).toBe(sha256(text).toString("hex"));
    const again = decodeManifest(7, encodeManifest(content).bytes);
    expect({ seed, content: { ...again, manifestHash: "" } }).toEqual({
      seed,
      content: { ...content, manifestHash: "" },
    });
    for (const { name } of content.databases) expect(name).not.toMatch(/^\/|(^|\/)\.\.(\/|$)|\u0000/);
  }
  expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(100);
});
