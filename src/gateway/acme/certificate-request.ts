/** Keys and certificate requests (PKCS #10, RFC 2986). */
import { explicit, integer, object, sequence, set } from "../../control/tls/der.ts";
import { ecdsaWithSha256, makeKeyPair, privatePem, publicKeyInfo, signatureBits } from "../../control/tls/issue.ts";
import { namesExtension } from "../route/self-signed.ts";

const extensionRequest = "1.2.840.113549.1.9.14";

export interface CertificateRequest {
  /** PEM of the private key. */
  readonly key: string;
  /** DER. */
  readonly request: Buffer;
}

/** Returns a new key, ECDSA on P-256, and the request of a certificate for these names. */
export async function requestCertificate(domains: readonly string[]): Promise<CertificateRequest> {
  const { publicKey, privateKey } = await makeKeyPair();
  const attribute = sequence(object(extensionRequest), set(sequence(namesExtension(domains))));
  const info = sequence(integer(Buffer.from([0])), sequence(), await publicKeyInfo(publicKey), explicit(0, attribute));
  const request = sequence(info, ecdsaWithSha256, await signatureBits(info, privateKey));
  return { key: await privatePem(privateKey), request };
}
