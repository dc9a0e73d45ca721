/**
 * Attack E1, names: a forged record or manifest made every secondary write `sub/dir/startup.sh` into its data folder,
 * although `host.databases` is `["app.db"]`.
 *
 * Rule: a host writes files for the databases that its configuration lists, and no other. The others are proved like
 * all, so that the log can be followed, and keep the host from becoming primary, as before. A restore by an operator
 * takes all databases, and no name leads out of its folder.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPage } from "../../src/capture/page-hashes.ts";
import { Replica } from "../../src/capture/replica.ts";
import { nameMatcher, unmatchedNames } from "../../src/core/database-pattern.ts";
import { restoreMoment } from "../../src/host/secondary/point-in-time.ts";
import { encodeManifest } from "../../src/vault/checkpoint/checkpoint-manifest.ts";
import { checkpointKey } from "../../src/vault/keys.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { failureOf, logIn } from "../support/vault/log-fixture.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-names-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const script = Buffer.alloc(512, "#!/bin/sh\nid > /tmp/was-here #");
const files = (): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted();
const chunks = async function* (): AsyncGenerator<Uint8Array> {
  yield script;
};
const forged = (name: string) => ({ name, pageSize: 512, pageCount: 1, checksum: hashPage(1, script) });

test("a database that the configuration does not list gets no file, from a checkpoint or from the log", async () => {
  const isListed = nameMatcher(["app.db", "tenants/*.db"], ["tenants/secret.db"]);
  const replica = await Replica.open({ root: folder, isListed });
  const foreign = ["sub/dir/startup.sh", "tenants/secret.db", "tenants/deep/er.db", "other.db"];
  for (const name of foreign.slice(0, 2)) await replica.load({ ...forged(name), chunks: chunks() });
  await replica.load({ ...forged("tenants/1.db"), chunks: chunks() });
  for (const name of [...foreign.slice(2), "app.db"]) {
    await replica.apply({ deltas: [{ ...forged(name), pages: [{ number: 1, content: script }] }] });
    // A change of a database that is there.
    await replica.apply({ deltas: [{ ...forged(name), pages: [{ number: 1, content: script }] }] });
  }
  expect(files()).toEqual(["app.db", "tenants", "tenants/1.db"]);
  const names = replica.checksums().keys();
  expect(unmatchedNames(names, ["app.db", "tenants/*.db"], ["tenants/secret.db"]).toSorted()).toEqual(
    foreign.toSorted(),
  );
  await replica.close();
});

test("no pattern lists what SQLite or the host keeps beside a database", () => {
  const matches = nameMatcher(["*", "**/*"]);
  const names = ["app.db-wal", "app.db-shm", "sub/app.db-journal", ".stead-host.lock", "../up.db", "/etc/passwd"];
  expect(names.filter(matches)).toEqual([]);
  expect(matches("app.db")).toBe(true);
});

test("a restore refuses a checkpoint with a name that leads out of its folder", async () => {
  for (const name of ["../out.db", "a/../../out.db", "/tmp/out.db", "a//b", "a/./b", "..\\x2fout.db", ""]) {
    const store = new MemoryStore();
    const { bytes } = encodeManifest({
      ...{ position: 0, hash: "0".repeat(64), epoch: 0, epochPosition: 0, wallTimeMs: 0, previous: null },
      ...{ scrubbedTo: "", databases: [{ ...forged(name), chunks: [`chunks/${"0".repeat(16)}/${"0".repeat(64)}`] }] },
    });
    await store.putIfAbsent(checkpointKey(0), bytes);
    const moment = { kind: "newest" } as const;
    const to = join(folder, "to");
    const options = { store, log: logIn(store), moment, folder: to, onWarning: () => undefined };
    expect(await failureOf(restoreMoment(options))).toMatchObject({ kind: "damaged-manifest" });
    expect(files()).toEqual([]);
  }
});
