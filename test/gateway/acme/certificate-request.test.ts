import { expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { requestCertificate } from "../../../src/gateway/acme/certificate-request.ts";
import { challengeCertificate, placeholderCertificate } from "../../../src/gateway/route/self-signed.ts";

const names = ["notes.example", "www.notes.example"];

async function openssl(input: string | Buffer, ...args: readonly string[]): Promise<string> {
  const child = Bun.spawn(["openssl", ...args], { stdin: new Blob([input]), stdout: "pipe", stderr: "pipe" });
  return (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
}

test("a request has all names, and the signature of its key, by OpenSSL's account", async () => {
  const { key, request } = await requestCertificate(names);
  expect(createPrivateKey(key).asymmetricKeyType).toBe("ec");
  const told = await openssl(request, "req", "-inform", "DER", "-verify", "-noout", "-text");
  expect(told).toContain("verify OK");
  expect(told).toContain("DNS:notes.example, DNS:www.notes.example");
});

test("a certificate of one's own is for the names, and fits its key", async () => {
  const { cert, key } = await placeholderCertificate(names, Date.now());
  const found = new X509Certificate(cert);
  expect(names.map((name) => found.checkHost(name))).toEqual(names);
  expect(found.checkPrivateKey(createPrivateKey(key))).toBe(true);
});

test("the answer to tls-alpn-01 has the critical extension with the digest", async () => {
  const { cert } = await challengeCertificate("notes.example", "token.thumbprint", Date.now());
  const told = await openssl(cert, "x509", "-noout", "-text");
  expect(told).toContain("1.3.6.1.5.5.7.1.31: critical");
  expect(told).toContain("DNS:notes.example");
});
