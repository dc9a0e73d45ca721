/**
 * Makes the certificate authority of a cluster, and certificates of its processes (X.509 v3, RFC 5280), ECDSA on P-256
 * by the runtime's WebCrypto.
 *
 * The encoding is our own (der.ts): it has one form of certificate, which takes fewer lines than the configuration of a
 * library would. `@peculiar/x509` brings 20 packages, among them a container for injection that changes the global
 * `Reflect`. Certificates are read and verified by the runtime's TLS alone.
 */
import { createHash, createPrivateKey, createPublicKey, randomBytes, X509Certificate } from "node:crypto";
import {
  bits,
  boolean,
  explicit,
  generalizedTime,
  implicit,
  integer,
  object,
  octets,
  sequence,
  set,
  utf8,
} from "./der.ts";
import { identityUri, type TlsIdentity } from "./identity.ts";

/** Certificate and private key, PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface Validity {
  /** Wall clock. */
  readonly nowMs: number;
  readonly days: number;
}

export const authorityDays = 3_650;
export const certificateDays = 365;
const dayMs = 86_400_000;
/** Clocks of the machines may differ by this much at the first start. */
const earlierMs = 3_600_000;

const algorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signature = { name: "ECDSA", hash: "SHA-256" } as const;
export const ecdsaWithSha256 = sequence(object("1.2.840.10045.4.3.2"));
const coordinateBytes = 32;
const serialBytes = 16;

const keyUsage = { digitalSignature: bits(Buffer.from([0x80]), 7), signCertificates: bits(Buffer.from([0x06]), 1) };

/** Returns a new authority. Its certificate can sign those of processes only, not other authorities. */
export async function makeAuthority(cluster: string, validity: Validity): Promise<Issued> {
  const { publicKey, privateKey } = await makeKeyPair();
  const info = await publicKeyInfo(publicKey);
  // The suffix tells two authorities of a cluster apart, in chains and to people.
  const name = commonName(`stead cluster ${cluster} ${randomBytes(4).toString("hex")}`);
  const extensions = [
    extension("2.5.29.19", true, sequence(boolean(true), integer(Buffer.from([0])))),
    extension("2.5.29.15", true, keyUsage.signCertificates),
    extension("2.5.29.14", false, octets(keyIdentifier(info))),
  ];
  const body = toBeSigned({ issuer: name, subject: name, info, validity, extensions });
  return { cert: await signed(body, privateKey), key: await privatePem(privateKey) };
}

/** Returns a certificate for one process, for calling and for answering. */
export async function issueCertificate(
  authority: Issued,
  identities: readonly [TlsIdentity, ...TlsIdentity[]],
  validity: Validity,
): Promise<Issued> {
  const { publicKey, privateKey } = await makeKeyPair();
  const info = await publicKeyInfo(publicKey);
  const issuer = subjectOf(authority.cert);
  const uris = identities.map(identityUri);
  const extensions = [
    extension("2.5.29.19", true, sequence()),
    extension("2.5.29.15", true, keyUsage.digitalSignature),
    // serverAuth, clientAuth
    extension("2.5.29.37", false, sequence(object("1.3.6.1.5.5.7.3.1"), object("1.3.6.1.5.5.7.3.2"))),
    extension("2.5.29.17", false, sequence(...uris.map((uri) => implicit(6, Buffer.from(uri, "latin1"))))),
    extension("2.5.29.35", false, sequence(implicit(0, keyIdentifier(publicInfoOf(authority.cert))))),
  ];
  const body = toBeSigned({ issuer, subject: commonName(identityUri(identities[0])), info, validity, extensions });
  return { cert: await signed(body, await importKey(authority.key)), key: await privatePem(privateKey) };
}

interface Body {
  /** Encoded names. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Encoded SubjectPublicKeyInfo. */
  readonly info: Uint8Array;
  readonly validity: Validity;
  readonly extensions: readonly Uint8Array[];
}

/** TBSCertificate (RFC 5280, 4.1). */
function toBeSigned({ issuer, subject, info, validity: { nowMs, days }, extensions }: Body): Buffer {
  return sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(randomBytes(serialBytes)),
    ecdsaWithSha256,
    issuer,
    sequence(generalizedTime(nowMs - earlierMs), generalizedTime(nowMs + days * dayMs)),
    subject,
    info,
    explicit(3, sequence(...extensions)),
  );
}

const signed = async (body: Buffer, key: CryptoKey): Promise<string> =>
  pem("CERTIFICATE", sequence(body, ecdsaWithSha256, await signatureBits(body, key)));

export const makeKeyPair = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

/** Encoded, with `ecdsaWithSha256`. */
export async function signatureBits(body: Uint8Array, key: CryptoKey): Promise<Buffer> {
  const raw = Buffer.from(await crypto.subtle.sign(signature, key, new Uint8Array(body)));
  return bits(sequence(integer(raw.subarray(0, coordinateBytes)), integer(raw.subarray(coordinateBytes))));
}

export const extension = (id: string, isCritical: boolean, value: Uint8Array): Buffer =>
  sequence(object(id), ...(isCritical ? [boolean(true)] : []), octets(value));

const commonNameLengthMax = 64;

/** A name longer than X.520 allows is cut: identities are compared by their URI. */
export const commonName = (text: string): Buffer =>
  sequence(set(sequence(object("2.5.4.3"), utf8([...text].slice(0, commonNameLengthMax).join("")))));

export const publicKeyInfo = async (key: CryptoKey): Promise<Buffer> =>
  Buffer.from(await crypto.subtle.exportKey("spki", key));

export const privatePem = async (key: CryptoKey): Promise<string> =>
  pem("PRIVATE KEY", Buffer.from(await crypto.subtle.exportKey("pkcs8", key)));

/** Takes any PEM form of a P-256 key, such as one that OpenSSL has written. */
function importKey(key: string): Promise<CryptoKey> {
  const pkcs8 = createPrivateKey(key).export({ type: "pkcs8", format: "der" });
  return crypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), algorithm, false, ["sign"]);
}

const publicInfoOf = (cert: string): Buffer => createPublicKey(cert).export({ type: "spki", format: "der" });

/** RFC 5280, 4.2.1.2 leaves the choice of the digest to the authority. */
const keyIdentifier = (info: Uint8Array): Buffer => createHash("sha1").update(info).digest();

/** Returns the encoded subject of a certificate. */
function subjectOf(cert: string): Buffer {
  const body = childOf(new X509Certificate(cert).raw, 0);
  // Version, serial number, algorithm, issuer, validity, subject.
  return childOf(body, 5);
}

/** Returns a child element of an element, both whole. */
function childOf(element: Buffer, index: number): Buffer {
  let at = contentAt(element, 0).start;
  for (let skipped = 0; skipped < index; skipped++) at = contentAt(element, at).end;
  return element.subarray(at, contentAt(element, at).end);
}

function contentAt(bytes: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = bytes[at + 1] ?? 0;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const lengthBytes = first & 0x7f;
  const start = at + 2 + lengthBytes;
  return { start, end: start + bytes.readUIntBE(at + 2, lengthBytes) };
}

export function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
