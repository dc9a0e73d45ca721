/**
 * Attack E1, leases: a forged claim with a lease of 23 days stopped the service for good, and one beyond 2^31 ms was
 * not waited for at all, since timers overflow there.
 *
 * Rule: no host has a lease beyond the bounds of the configuration, so a claim that names one is refused as damaged.
 */
import { expect, test } from "bun:test";
import { sha256 } from "../../src/runtime/sha256.ts";
import { decodeRecord, encodeRecord, genesisHash, serviceTagOf } from "../../src/vault/log/record-codec.ts";

/** As `host.lease` accepts it. */
const [leaseMsMin, leaseMsMax] = [100, 60_000];
const tag = serviceTagOf("notes");
const header = { position: 1, epoch: 1, host: "a", nonce: "ab".repeat(16), wallTimeMs: 0, previousHash: genesisHash };

/** A claim with any lease, and the hashes that it needs. */
function claim(leaseMs: number): Uint8Array {
  const body = { kind: "epoch", leaseMs: 1_000, controlUrl: "http://a:1", instance: "i" } as const;
  const bytes = Buffer.from(encodeRecord(tag, header, body).bytes);
  bytes.writeUInt32LE(leaseMs, 224);
  bytes.set(sha256(bytes.subarray(224)), 160);
  bytes.set(sha256(bytes.subarray(0, 192)), 192);
  return bytes;
}

test("a claim whose lease no host can have is damaged", () => {
  const day = 24 * 60 * 60 * 1_000;
  for (const leaseMs of [23 * day, 2 ** 31, 2 ** 32 - 1, leaseMsMax + 1, leaseMsMin - 1, 0])
    expect(() => decodeRecord(tag, 1, claim(leaseMs))).toThrow("is damaged: a lease of");
  for (const leaseMs of [leaseMsMin, leaseMsMax])
    expect(decodeRecord(tag, 1, claim(leaseMs)).body).toMatchObject({ leaseMs });
});
