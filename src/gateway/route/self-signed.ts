/**
 * Certificates that a gateway signs itself: one until an authority has issued the first, and those that answer
 * tls-alpn-01 (RFC 8737, 3).
 */
import { createHash, randomBytes } from "node:crypto";
import { explicit, generalizedTime, implicit, integer, octets, sequence } from "../../control/tls/der.ts";
import {
  commonName,
  ecdsaWithSha256,
  extension,
  makeKeyPair,
  pem,
  privatePem,
  publicKeyInfo,
  signatureBits,
} from "../../control/tls/issue.ts";
import type { Certificate } from "../../http/server/server-tls.ts";

const dayMs = 86_400_000;
const serialBytes = 16;
const subjectAltName = "2.5.29.17";
const acmeIdentifier = "1.3.6.1.5.5.7.1.31";

/** The extension with the names of a certificate, or of a request for one. */
export const namesExtension = (domains: readonly string[]): Buffer =>
  extension(subjectAltName, false, sequence(...domains.map((name) => implicit(2, Buffer.from(name, "latin1")))));

/** The name by which a certificate is known that no authority has issued. */
export const placeholderName = "stead: no certificate has been issued yet";

/** Returns a certificate for these names that no client trusts. */
export const placeholderCertificate = (domains: readonly string[], nowMs: number): Promise<Certificate> =>
  selfSigned(placeholderName, [namesExtension(domains)], nowMs);

/** Returns the certificate that answers tls-alpn-01 for `domain`. */
export function challengeCertificate(domain: string, keyAuthorization: string, nowMs: number): Promise<Certificate> {
  const digest = createHash("sha256").update(keyAuthorization).digest();
  const identifier = extension(acmeIdentifier, true, octets(digest));
  return selfSigned(domain, [namesExtension([domain]), identifier], nowMs);
}

async function selfSigned(name: string, extensions: readonly Uint8Array[], nowMs: number): Promise<Certificate> {
  const { publicKey, privateKey } = await makeKeyPair();
  const subject = commonName(name);
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(randomBytes(serialBytes)),
    ecdsaWithSha256,
    subject,
    sequence(generalizedTime(nowMs - dayMs), generalizedTime(nowMs + 7 * dayMs)),
    subject,
    await publicKeyInfo(publicKey),
    explicit(3, sequence(...extensions)),
  );
  const cert = pem("CERTIFICATE", sequence(body, ecdsaWithSha256, await signatureBits(body, privateKey)));
  return { cert, key: await privatePem(privateKey) };
}
