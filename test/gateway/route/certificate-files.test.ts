import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateWatch, fingerprint, readCertificates } from "../../../src/gateway/route/certificate-files.ts";
import { placeholderCertificate } from "../../../src/gateway/route/self-signed.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { certificateA } from "../../support/http/certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-certificates-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("operators are told of the end of a certificate two weeks before it, with its name", async () => {
  const at = (name: string): string => join(folder, name);
  const { cert, key } = await placeholderCertificate(["b.example"], systemClock.wallTime()); // for a week
  for (const [name, text] of [
    ["a.pem", certificateA.cert],
    ["a.key", certificateA.key],
    ["b.pem", cert],
    ["b.key", key],
  ])
    writeFileSync(at(name ?? ""), text ?? "");
  const config = {
    ...{ certPath: at("a.pem"), keyPath: at("a.key") },
    names: [{ serverName: "b.example", certPath: at("b.pem"), keyPath: at("b.key") }],
  };
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const warningsAfter = (ms: number): readonly string[] => {
    const clock = { ...systemClock, wallTime: () => systemClock.wallTime() + ms };
    const state = { used: readCertificates(config), seen: fingerprint(config) };
    const watch = new CertificateWatch(config, state, { clock, log, replace: () => undefined });
    watch.close();
    return watch.warnings;
  };
  expect(warningsAfter(0).join()).toMatch(/^the certificate for b\.example expires at [^:]+:\S+: replace the files/);
  expect(warningsAfter(8 * 86_400_000).join()).toContain("b.example has expired");
});
