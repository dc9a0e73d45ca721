import { expect, test } from "bun:test";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { hostParty, type Party } from "../../../src/control/channel/transcript.ts";
import { parseIdentities } from "../../../src/control/tls/identity.ts";
import { issueCertificate, makeAuthority } from "../../../src/control/tls/issue.ts";

const nowMs = Date.UTC(2049, 11, 31, 23, 30); // RFC 5280 has another form of time for the years before 2050
const dayMs = 86_400_000;
const party: Party = hostParty("notes", "a");

test("a certificate is signed by its authority, has the key that is issued with it, and is valid for its days", async () => {
  const authority = await makeAuthority("prod", { nowMs, days: 100 });
  const issued = await issueCertificate(authority, [{ cluster: "prod", party }], { nowMs, days: 10 });
  const [ca, cert] = [new X509Certificate(authority.cert), new X509Certificate(issued.cert)];
  expect([ca.ca, cert.ca]).toEqual([true, false]);
  expect(ca.verify(createPublicKey(authority.cert))).toBe(true);
  expect(cert.verify(createPublicKey(authority.cert))).toBe(true);
  expect(cert.checkIssued(ca)).toBe(true);
  expect(cert.checkPrivateKey(createPrivateKey(issued.key))).toBe(true);
  expect(Date.parse(cert.validFrom)).toBe(nowMs - 3_600_000);
  expect(Date.parse(cert.validTo)).toBe(nowMs + 10 * dayMs);
  // serverAuth and clientAuth (RFC 5280, 4.2.1.12)
  expect(cert.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
});

test("identities are read as they were issued, several of them, and with every name that is allowed", async () => {
  const authority = await makeAuthority("prod", { nowMs, days: 100 });
  const long = "x".repeat(64);
  const identities = [
    { cluster: "prod", party: { role: "gateway", id: "gw-1.b_c" } as Party },
    { cluster: long, party: hostParty(long, long) },
  ] as const;
  const { cert } = await issueCertificate(authority, identities, { nowMs, days: 10 });
  expect(parseIdentities(new X509Certificate(cert).subjectAltName)).toEqual([...identities]);
});

test("two authorities of one cluster have different names", async () => {
  const subjects = await Promise.all(
    [1, 2].map(async () => new X509Certificate((await makeAuthority("prod", { nowMs, days: 1 })).cert).subject),
  );
  expect(new Set(subjects).size).toBe(2);
});
