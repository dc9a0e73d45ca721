import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { vaultGc } from "../../../src/cli/commands/vault-gc.ts";
import { vaultLs, vaultVerify } from "../../../src/cli/commands/vault.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import { allRules } from "../../../src/core/rules.ts";
import { pageProof } from "../../../src/host/secondary/page-proof.ts";
import { newestAnnounced } from "../../../src/vault/checkpoint/newest-announced.ts";
import { type CheckpointManifest, writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { collectGarbage } from "../../../src/vault/checkpoint/retention.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { chunkBytes } from "../../../src/vault/limits.ts";
import { isDamaged, type VaultReport, type VerifyOptions, verifyVault } from "../../../src/vault/verify/verify.ts";
import { PageDatabase } from "../../support/vault/checkpoint-fixture.ts";
import { logIn, makeHost, service } from "../../support/vault/log-fixture.ts";
import { makeTemporaryVault, type TemporaryVault } from "../../support/vault/temporary-vault.ts";

/** Positions: 1 claim, 2-4 commits, 5 announces checkpoint 4, 6-7 commits, 8 announces checkpoint 7, 9 commit. */
async function fill(vault: TemporaryVault, first = 10): Promise<{ writer: LogWriter; newest: CheckpointManifest }> {
  const { store } = vault;
  const database = new PageDatabase("app.db", 600);
  const checkpoint = (position: number, hash: string, epoch: number): Promise<CheckpointManifest> =>
    writeCheckpoint({ store, position, hash, epoch, wallTimeMs: 1000 + position, databases: [database] }).then(
      ({ manifest }) => manifest,
    );
  let newest = await checkpoint(0, "0".repeat(64), 0);
  const writer = await makeHost("a", store).lead();
  for (const commits of [3, 2]) {
    for (let count = 1; count <= commits; count += 1) await append(writer, database.change(count, commits * first));
    newest = await checkpoint(writer.position, writer.hash, 1);
    await writer.append({ kind: "checkpoint", checkpointPosition: newest.position, manifestHash: newest.manifestHash });
  }
  await append(writer, database.change(600, 9));
  return { writer, newest };
}

const append = (writer: LogWriter, delta: DatabaseDelta) =>
  writer.append({ kind: "commit", part: 1, parts: 1, databases: [delta] });

/** Verifies as the command does. */
const verify = (store: Store, options: VerifyOptions = {}): Promise<VaultReport> =>
  verifyVault(store, { proof: pageProof, ...options });

describe("verifying a vault", () => {
  let vault: TemporaryVault;
  let filled: Awaited<ReturnType<typeof fill>>;
  beforeEach(async () => {
    vault = await makeTemporaryVault(service);
    filled = await fill(vault);
  });
  afterEach(() => vault.dispose());
  const path = (key: string): string => join(vault.folder, key);
  const log = (position: number): string => path(`log/${String(position).padStart(16, "0")}`);
  const flip = async (file: string, at: number): Promise<void> => {
    const bytes = await readFile(file);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(file, bytes);
  };

  test("that is whole has no findings, and reports what can be restored", async () => {
    const report = await verify(vault.store, { service });
    expect(report).toMatchObject({
      records: 9,
      lastPosition: 9,
      epoch: 1,
      host: "a",
      boundary: 0,
      restorable: { checkpoint: 7, upTo: 9 },
      findings: [],
      leftOverChunks: 0,
    });
    expect(report.checkpoints.map(({ position, whole }) => [position, whole])).toEqual([
      [0, true],
      [4, true],
      [7, true],
    ]);
  });

  test("that is whole after clean-up and another claim has no findings either", async () => {
    await collectGarbage({
      store: vault.store,
      log: logIn(vault.store),
      newest: filled.newest,
      logPosition: 9,
      policy: { checkpointsMin: 1, windowMs: 0 },
      nowMs: 9000,
      rules: allRules,
    });
    await makeHost("b", vault.store, { start: { position: 7, hash: filled.newest.hash, epoch: 1 } }).lead();
    const report = await verify(vault.store);
    expect(report).toMatchObject({
      records: 4,
      boundary: 7,
      epoch: 2,
      host: "b",
      restorable: { checkpoint: 7, upTo: 10 },
      findings: [],
    });
  });

  test("with one chunk at several places of a database proves each place by itself", async () => {
    const same = await makeTemporaryVault(service);
    const database = new PageDatabase("app.db", 3 * (chunkBytes / 4096));
    database.bytes.fill(7);
    const { store } = same;
    const at = { store, position: 0, hash: "0".repeat(64), epoch: 0, wallTimeMs: 1000, databases: [database] };
    const { manifest } = await writeCheckpoint(at);
    expect(new Set(manifest.databases[0]?.chunks).size).toBe(1);
    await makeHost("a", store).lead();
    const report = await verify(store);
    await same.dispose();
    expect(report).toMatchObject({ findings: [], restorable: { checkpoint: 0 } });
  });

  test("whose first record after the boundary does not follow the checkpoint names that record", async () => {
    const { newest } = filled;
    const retained = { policy: { checkpointsMin: 1, windowMs: 0 }, nowMs: 9000, rules: allRules };
    await collectGarbage({ store: vault.store, log: logIn(vault.store), newest, logPosition: 9, ...retained });
    // Another vault's, which follow each other.
    const other = await makeTemporaryVault(service);
    await fill(other, 11);
    for (const position of [8, 9]) {
      const name = `log/${String(position).padStart(16, "0")}`;
      await writeFile(log(position), await readFile(join(other.folder, name)));
    }
    await other.dispose();
    const report = await verify(vault.store);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ severity: "damage", key: "log/0000000000000008" }),
    );
    expect(report.restorable).toEqual({ checkpoint: 7, upTo: 7 });
  });

  test("with a flipped byte in any record names that record and says up to where a restore reaches", async () => {
    for (const position of [1, 3, 6, 9]) {
      const whole = await readFile(log(position));
      await flip(log(position), whole.length - 1);
      const report = await verify(vault.store);
      const damaged = report.findings.filter(({ severity }) => severity === "damage");
      expect(damaged).toHaveLength(1);
      expect(damaged[0]).toMatchObject({ kind: "corrupt-record", key: `log/${String(position).padStart(16, "0")}` });
      expect(report.restorable).toEqual(position === 9 ? { checkpoint: 7, upTo: 8 } : { checkpoint: 7, upTo: 9 });
      await writeFile(log(position), whole);
    }
    expect((await verify(vault.store)).findings).toEqual([]);
  });

  test("with a missing record finds the gap, and falls back where the gap comes after the newest checkpoint", async () => {
    await rm(log(8));
    const report = await verify(vault.store);
    expect(report.findings).toMatchObject([
      { kind: "log-gap", severity: "damage", key: "log/0000000000000008" },
      { kind: "unannounced-checkpoint", severity: "notice" },
    ]);
    expect(report.restorable).toEqual({ checkpoint: 7, upTo: 7 });
  });

  test("with damaged checkpoints falls back to an older one, and says so when none is left", async () => {
    const chunk = filled.newest.databases[0]?.chunks.find((key) => key.includes("0000000000000007/")) ?? "";
    await flip(path(chunk), 30);
    const report = await verify(vault.store);
    expect(report.findings).toMatchObject([{ kind: "damaged-chunk", key: chunk }]);
    expect(report.restorable).toEqual({ checkpoint: 4, upTo: 9 });
    for (const name of await readdir(path("checkpoints"))) await flip(path(`checkpoints/${name}`), 10);
    const worse = await verify(vault.store);
    expect(worse.restorable).toBeUndefined();
    expect(worse.findings.filter(({ kind }) => kind === "damaged-manifest")).toHaveLength(3);
    expect(isDamaged(worse)).toBe(true);
  });

  test("with another's identity, or none, refuses to vouch for it", async () => {
    expect((await verify(vault.store, { service: "other" })).findings).toMatchObject([
      { kind: "foreign-vault", severity: "damage" },
    ]);
    await writeFile(path("identity.json"), "{}");
    expect((await verify(vault.store)).findings).toContainEqual(
      expect.objectContaining({ kind: "no-identity", severity: "damage" }),
    );
  });

  test("reports a void claim, left-over chunks and names that are not ours as notices only", async () => {
    const { store } = vault;
    const sleeper = makeHost("z", asleep(store), { start: { position: 2, hash: "ab".repeat(32), epoch: 1 } });
    await collectGarbage({
      store,
      log: logIn(store),
      newest: filled.newest,
      logPosition: 9,
      policy: { checkpointsMin: 1, windowMs: 0 },
      nowMs: 9000,
      rules: allRules,
    });
    expect(await sleeper.reader.next()).toBeUndefined();
    expect(await sleeper.claim()).toEqual({ kind: "void", boundary: 7 });
    await writeFile(path("log/notes.txt"), "operator was here");
    await vault.store.putIfAbsent(`chunks/0000000000000003/${"ab".repeat(32)}`, new Uint8Array(3));
    const report = await verify(vault.store);
    expect(isDamaged(report)).toBe(false);
    expect(report.findings.map(({ kind }) => kind).sort()).toEqual(["left-over-chunks", "strange-key", "void-claim"]);
  });

  test("says how far it is: each chunk once by its bytes, then each record, to the end of both", async () => {
    const told: [stage: string, done: number, total: number][] = [];
    const report = await verify(vault.store, { onProgress: (...each) => told.push(each) });
    const of = (stage: string) => told.filter(([each]) => each === stage);
    const bytes = of("checkpoints");
    expect(bytes.length).toBe(report.chunks);
    expect(bytes.map(([, done]) => done)).toEqual(bytes.map(([, done]) => done).toSorted((a, b) => a - b));
    expect(bytes.at(-1)?.[1]).toBe(bytes[0]?.[2] ?? -1);
    expect(of("log").map(([, done, total]) => [done, total])).toEqual(
      Array.from({ length: 9 }, (_, at) => [at + 1, 9]),
    );
    expect(told.findIndex(([stage]) => stage === "log")).toBe(bytes.length);
  });

  test("never writes anything", async () => {
    const snapshot = async (): Promise<string[]> => {
      const names = (await readdir(vault.folder, { recursive: true })).filter((name) => !name.startsWith("tmp"));
      return Promise.all(names.sort().map(async (name) => `${name} ${(await stat(path(name))).mtimeMs}`));
    };
    const before = await snapshot();
    await verify(vault.store);
    expect(await snapshot()).toEqual(before);
  });

  test("by command prints findings and verdict, ends with the verdict's code, and has one JSON object for scripts", async () => {
    const lines: string[] = [];
    const out = (line: string): void => void lines.push(line);
    expect((await vaultVerify({ url: vault.folder, out })).exitCode).toBe(0);
    expect(lines.at(-1)).toBe("verdict      whole");
    await flip(log(9), 0);
    lines.length = 0;
    expect((await vaultVerify({ url: vault.folder, out })).exitCode).toBe(9);
    expect(lines[0]).toStartWith("DAMAGE  corrupt-record: the record at position 9");
    expect(lines).toContain("missing      1 positions after that cannot be restored");
    lines.length = 0;
    await vaultVerify({ url: vault.folder, out, json: true });
    expect(JSON.parse(lines.join(""))).toMatchObject({
      ok: false,
      lastPosition: 9,
      restorable: { checkpoint: 7, upTo: 8 },
    });
  });

  test("is not needed to list its records, its checkpoints, and what cannot be read", async () => {
    await flip(log(3), 300);
    const lines: string[] = [];
    await vaultLs({ url: vault.folder, records: true, out: (line) => void lines.push(line) });
    expect(lines.filter((line) => line.startsWith("record"))).toHaveLength(9);
    expect(lines.find((line) => line.startsWith("record       3 "))).toContain("UNREADABLE");
    expect(lines.find((line) => line.startsWith("record       1 "))).toContain("epoch epoch 1 host a");
    expect(lines.filter((line) => line.startsWith("checkpoint"))).toHaveLength(3);
  });

  test("of a checkpoint that rules keep finds it whole, and the list says that it is one moment", async () => {
    const policy = { checkpointsMin: 1, windowMs: 0, history: [{ everyMs: 1, forMs: 1e12 }] };
    const { collected } = await vaultGc({
      ...{ url: vault.folder, policy, nowMs: 9000, dryRun: false, out: () => undefined },
    });
    const kept = collected?.plan.kept ?? [];
    expect([kept.length > 1, kept.at(-1), collected?.plan.boundary]).toEqual([true, 7, 7]);
    const report = await verify(vault.store);
    expect(report.findings).toEqual([]);
    expect(report.checkpoints.map(({ position, whole }) => ({ position, whole }))).toEqual(
      kept.map((position) => ({ position, whole: true })),
    );
    expect(report).toMatchObject({ restorable: { checkpoint: 7, upTo: 9 }, leftOverChunks: 0 });
    const lines: string[] = [];
    await vaultLs({ url: vault.folder, out: (line) => void lines.push(line) });
    const alone = lines.filter((line) => line.includes("this moment alone: the log after it is gone"));
    expect(alone.map((line) => line.split(":")[0])).toEqual(
      kept.slice(0, -1).map((position) => `checkpoint   ${position}`),
    );
  });

  test("is followed by clean-up that removes nothing unless told to, and nothing at all without an announced checkpoint", async () => {
    const command = {
      url: vault.folder,
      policy: { checkpointsMin: 1, windowMs: 0 },
      nowMs: 9000,
      out: () => undefined,
    };
    expect(await newestAnnounced(vault.store, logIn(vault.store))).toMatchObject({
      manifest: { position: 7 },
      logPosition: 9,
    });
    const planned = await vaultGc(command);
    expect(planned.collected).toMatchObject({ plan: { boundary: 7, kept: [7] } });
    expect(await readdir(path("log"))).toHaveLength(9);
    await vaultGc({ ...command, dryRun: false });
    expect((await readdir(path("log"))).sort()).toEqual(
      [1, 8, 9].map((position) => String(position).padStart(16, "0")),
    );
    expect((await verify(vault.store)).findings).toEqual([]);
    const empty = await makeTemporaryVault(service);
    const lines: string[] = [];
    expect(await vaultGc({ ...command, url: empty.folder, out: (line) => void lines.push(line) })).toEqual({
      exitCode: 5,
      collected: undefined,
    });
    expect(lines).toHaveLength(1);
    await empty.dispose();
  });
});

/**
 * The vault as it appears to a host that read the log to its end before the clean-up, and slept until its claim: it
 * sees no boundary before that.
 */
function asleep(store: Store): Store {
  let isAwake = false;
  const putIfAbsent: Store["putIfAbsent"] = (key, bytes) => ((isAwake = true), store.putIfAbsent(key, bytes));
  return {
    url: "asleep:",
    files: undefined,
    prepare: () => undefined,
    stage: async () => undefined,
    get: (key) => store.get(key),
    list: async (prefix) => (isAwake ? store.list(prefix) : []),
    putIfAbsent,
    delete: (key) => store.delete(key),
  };
}
