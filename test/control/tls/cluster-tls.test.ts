import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { hostParty, type Party } from "../../../src/control/channel/transcript.ts";
import { ClusterTls, ClusterTlsError } from "../../../src/control/tls/cluster-tls.ts";
import { silentLog, TestAuthority } from "../../support/control/cluster-certificates.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

const g1: Party = { role: "gateway", id: "g1" };
let authority: TestAuthority;
beforeAll(async () => void (authority = await TestAuthority.create()));
afterAll(() => authority.remove());

test("files that do not fit together leave the previous ones in use, and operators are told until they fit", async () => {
  const [files, other] = [await authority.certify(g1), await authority.certify(g1)];
  const errors: string[] = [];
  const tls = files.open(systemClock, { ...silentLog, error: (what) => void errors.push(what) });
  const before = tls.files;
  writeFileSync(files.config.keyPath, other.open().files.key);
  tls.look();
  tls.look();
  expect(tls.files).toBe(before);
  expect(errors).toEqual(["certificates of the cluster not reloaded, the previous ones stay in use"]);
  expect(tls.warnings).toHaveLength(1);
  writeFileSync(files.config.certPath, other.open().files.cert);
  tls.look();
  expect(tls.files.cert).toBe(other.open().files.cert);
  expect(tls.warnings).toEqual([]);
});

test("a certificate of another process, of another cluster, or without an authority is refused at the start", async () => {
  const files = await authority.certify(g1);
  const { config } = files;
  const open = (cluster: string, party: Party) => () =>
    new ClusterTls({ config, cluster, self: [party], clock: systemClock, log: silentLog });
  expect(open("prod", hostParty("notes", "a"))).toThrow(ClusterTlsError);
  expect(open("staging", g1)).toThrow("gateway:g1 in prod, and this process is gateway:g1 in staging");
  writeFileSync(config.caPath, "nothing");
  expect(open("prod", g1)).toThrow("has no certificate");
});

test("the end of a certificate is warned of 30 days before, and an expired one makes no calls", async () => {
  const files = await authority.certify(g1);
  const day = 86_400_000;
  const at = (days: number) => ({ ...systemClock, wallTime: () => systemClock.wallTime() + days * day });
  await files.issue(authority.current, 60);
  expect(files.open(at(29)).warnings).toEqual([]);
  expect(files.open(at(31)).warnings).toEqual([expect.stringContaining("expires at")]);
  expect(files.open(at(61)).warnings).toEqual([expect.stringContaining("has expired")]);
  expect([files.open(at(59)).isExpired, files.open(at(61)).isExpired]).toEqual([false, true]);
});
