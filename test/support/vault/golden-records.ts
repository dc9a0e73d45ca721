/**
 * Records of every kind, whose bytes are kept in golden/: every version reads the records of all earlier ones.
 * Those of format 1 were written before there was another.
 */
import type { RecordLayout } from "../../../src/vault/log/record-codec.ts";
import type { RecordBody, RecordHeader } from "../../../src/vault/record.ts";
import { delta } from "./log-fixture.ts";

export const goldenService = "notes";
export const goldenHeader: RecordHeader = {
  position: 7,
  epoch: 3,
  host: "höst-1",
  nonce: "0123456789abcdef".repeat(2),
  wallTimeMs: 1_700_000_000_123.5,
  previousHash: "ab".repeat(32),
};
export const goldenBodies: Readonly<Record<string, RecordBody>> = {
  epoch: { kind: "epoch", leaseMs: 1000, controlUrl: "http://10.0.0.1:7000", instance: "9f" },
  commit: {
    kind: "commit",
    part: 2,
    parts: 3,
    databases: [
      delta(1, { pages: [1, 3] }),
      delta(2, { name: "data/ü.db", pageSize: 1024, pageCount: 70000, pages: [70000] }),
    ],
  },
  removal: {
    kind: "commit",
    part: 1,
    parts: 1,
    databases: [{ name: "gone.db", pageSize: 4096, pageCount: 0, checksum: new Uint8Array(16), pages: [] }],
  },
  renew: { kind: "renew" },
  checkpoint: { kind: "checkpoint", checkpointPosition: 6, manifestHash: "cd".repeat(32) },
  handover: { kind: "vacate", reason: "switchover", successor: "b" },
  vacate: { kind: "vacate", reason: "", successor: undefined },
};
export const goldenLayout = {
  format: 2,
  steadVersion: "3.14.15",
  sections: [
    { kind: "requests", isRequired: false, content: new Uint8Array([1, 2, 3]) },
    { kind: "parts", isRequired: true, content: new Uint8Array(0) },
  ],
} as const satisfies RecordLayout;
