import { beforeEach, describe, expect, test } from "bun:test";
import { pageProof } from "../../../src/host/secondary/page-proof.ts";
import type { FileChange } from "../../../src/core/files/file-change.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { putFileChunk } from "../../../src/vault/checkpoint/file-chunks.ts";
import { PieceReader } from "../../../src/vault/checkpoint/piece-reader.ts";
import { filesSection } from "../../../src/vault/log/files-section.ts";
import { hexHash, putOf } from "../../support/vault/files-fixture.ts";
import { VaultCopier } from "../../../src/vault/copy/vault-copier.ts";
import { copiedRecordsMax } from "../../../src/vault/limits.ts";
import { CopyDiffersError, CopyOfVaultError, CopyPlaceError } from "../../../src/vault/errors.ts";
import { logKey } from "../../../src/vault/log/log-key.ts";
import { ForwardingStore } from "../../../src/vault/store/forwarding-store.ts";
import { ensureIdentity, readIdentity } from "../../../src/vault/store/identity.ts";
import { keyed } from "../../../src/vault/store/keyed-store.ts";
import { readKeys } from "../../../src/vault/store/keyring.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { type PutOutcome, type Store, StoreError } from "../../../src/vault/store/store.ts";
import type { VaultKeys } from "../../../src/vault/store/vault-keys.ts";
import { isDamaged, verifyVault } from "../../../src/vault/verify/verify.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { FilledVault, policy, secret } from "../../support/vault/filled-vault.ts";
import { JumpingClock, service } from "../../support/vault/log-fixture.ts";

const never = new AbortController().signal;

/** What `stead vault verify` says of a copy: nothing is damaged. Returns up to where it restores. */
async function restorableOf(copy: Store, keys?: VaultKeys): Promise<number | undefined> {
  const report = await verifyVault(keyed(copy, keys), { proof: pageProof, service, keys });
  expect(report.findings.filter(({ severity }) => severity === "damage")).toEqual([]);
  expect(isDamaged(report)).toBe(false);
  return report.restorable?.upTo;
}

/** Has room for so many more objects. */
class FullStore extends ForwardingStore {
  putsLeft = Infinity;

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    if ((await this.get(key)) !== undefined) return { kind: "exists" };
    if (this.putsLeft <= 0) throw new StoreError("full", `no space for ${key}`, "make room");
    this.putsLeft -= 1;
    return super.putIfAbsent(key, bytes);
  }
}

/** Counts the records that are put at the same time. */
class CrowdedStore extends ForwardingStore {
  mostAtOnce = 0;
  #now = 0;

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    this.#now += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#now);
    try {
      await new Promise((resolve) => setImmediate(resolve));
      return await super.putIfAbsent(key, bytes);
    } finally {
      this.#now -= 1;
    }
  }
}

describe("a copy of a vault", () => {
  let vault: FilledVault;
  let copy: MemoryStore;
  beforeEach(async () => {
    vault = await new FilledVault().begin();
    copy = new MemoryStore("memory:copy");
    await vault.commit(5);
  });

  const copyAll = (copier: VaultCopier): Promise<void> => copier.copyUpTo(vault.writer.position, never);

  test("restores what the vault restores, and is no vault for hosts", async () => {
    await copyAll(vault.copier(copy));
    expect(await restorableOf(copy)).toBe(6);
    expect((await readIdentity(copy))?.isCopy).toBe(true);
    await expect(ensureIdentity(copy, service)).rejects.toBeInstanceOf(CopyOfVaultError);
  });

  test("is made with a bounded number of puts at the same time", async () => {
    await vault.commit(3 * copiedRecordsMax);
    const crowded = new CrowdedStore(copy);
    await copyAll(vault.copier(crowded));
    expect(crowded.mostAtOnce).toBe(copiedRecordsMax);
    expect(await restorableOf(copy)).toBe(vault.writer.position);
  });

  test("of a log in segments has its log in objects", async () => {
    vault = await new FilledVault().begin({ log: "segments" });
    await vault.commit(5);
    await vault.checkpoint();
    await copyAll(vault.copier(copy));
    expect(await readIdentity(copy)).toMatchObject({ id: vault.identity.id, log: "objects" });
    expect(await restorableOf(copy)).toBe(vault.writer.position);
  });

  test("of an encrypted vault opens with the vault's keys", async () => {
    vault = await new FilledVault().begin({ isEncrypted: true });
    await vault.commit(5);
    await vault.checkpoint();
    await copyAll(vault.copier(copy));
    const keys = await readKeys(copy, vault.identity, [secret]);
    expect(keys?.isEncrypting).toBe(true);
    expect(await restorableOf(copy, keys)).toBe(vault.writer.position);
  });

  test("has the contents of files that a record names before the record", async () => {
    const content = Buffer.from("in no record");
    const position = vault.writer.position + 1;
    const options = { store: vault.store, position, clock: new JumpingClock(), random: systemRandom };
    const key = await putFileChunk(options, content);
    const put: FileChange = {
      ...putOf("uploads/a", content),
      pieces: [{ hash: hexHash(content), source: { kind: "chunk", key } }],
    };
    const sections = [filesSection({ changes: [put], checksum: new Uint8Array(16) })];
    await vault.writer.append({ kind: "commit", part: 1, parts: 1, databases: [] }, { sections });
    await copyAll(vault.copier(copy));
    const place = { kind: "chunk", key } as const;
    const wanted = { place, hash: hexHash(content), length: content.length, path: "uploads/a" };
    expect(Buffer.from(await new PieceReader(vault).read(wanted))).toEqual(content);
    expect(await copy.get(key)).toEqual(await vault.raw.get(key));
  });

  test("ends at the position that the caller names", async () => {
    await vault.copier(copy).copyUpTo(3, never);
    expect(await copy.get(logKey(4))).toBeUndefined();
    expect(await restorableOf(copy)).toBe(3);
  });

  test("is whole after every single put, with checkpoints and retention in between", async () => {
    const full = new FullStore(copy);
    let whole: number | undefined;
    for (let round = 0; round < 4; round += 1) {
      await vault.commit(20);
      await vault.checkpoint();
      if (round % 2 === 1) await vault.retain();
      for (let isDone = false; !isDone; ) {
        full.putsLeft = 1;
        // A new copier each time, as after a failover.
        const outcome = await copyAll(vault.copier(full)).then(
          () => "done" as const,
          (error: unknown) => error,
        );
        isDone = outcome === "done";
        if (!isDone) expect(outcome).toMatchObject({ kind: "full" });
        if ((await readIdentity(copy)) === undefined) continue;
        const upTo = await restorableOf(copy);
        expect(upTo).toBeGreaterThanOrEqual(whole ?? 0);
        whole = upTo;
      }
      expect(whole).toBe(vault.writer.position);
    }
  });

  test("puts chunks before their manifest, and both before the announcement", async () => {
    await copyAll(vault.copier(copy));
    vault.database.stamp(300, 77);
    await vault.checkpoint();
    const faulty = new FaultyStore(copy);
    await copyAll(vault.copier(faulty));
    const kinds = faulty.puts
      .filter((key) => !key.startsWith("boundary/"))
      .map((key) => key.slice(0, key.indexOf("/")));
    expect(kinds.filter((kind) => kind === "chunks").length).toBeGreaterThan(0);
    expect(kinds.filter((kind, at) => kind !== kinds[at - 1])).toEqual(["chunks", "checkpoints", "log"]);
  });

  test("continues where it stood, and copies nothing twice", async () => {
    await vault.checkpoint();
    await copyAll(vault.copier(copy));
    const faulty = new FaultyStore(copy);
    await vault.commit(1);
    await copyAll(vault.copier(faulty));
    expect(faulty.puts).toEqual([logKey(vault.writer.position)]);
  });

  test("begins at the newest checkpoint when the vault's retention has passed it", async () => {
    const copier = vault.copier(copy);
    await copyAll(copier);
    await vault.commit(5);
    await vault.checkpoint();
    await vault.retain();
    await vault.commit(3);
    await copyAll(copier);
    expect(copier.end).toMatchObject({ position: vault.writer.position, checkpoint: vault.newest.position });
    expect(await restorableOf(copy)).toBe(vault.writer.position);
  });

  test("has the same retention as the vault", async () => {
    const copier = vault.copier(copy);
    await copyAll(copier);
    await vault.commit(5);
    await vault.checkpoint();
    await copyAll(copier);
    expect(await copy.get(logKey(1))).toBeDefined();
    expect(await copy.get(logKey(3))).toBeUndefined();
    expect(await copy.list("checkpoints/")).toHaveLength(1);
    expect(await restorableOf(copy)).toBe(vault.writer.position);
  });

  test("takes two writers", async () => {
    const [before, after] = [vault.copier(copy), vault.copier(copy)];
    await copyAll(before);
    const late = vault.writer.position + 2;
    await vault.commit(5);
    await vault.lead("b");
    await vault.commit(2);
    await vault.checkpoint();
    await Promise.all([copyAll(after), before.copyUpTo(late, never)]);
    await before.copyUpTo(late, never);
    expect(await restorableOf(copy)).toBe(vault.writer.position);
  });

  test("is whole after a put whose reply was lost, and after one that arrives late", async () => {
    const faulty = new FaultyStore(copy);
    const copier = vault.copier(faulty);
    await copier.copyUpTo(2, never);
    faulty.failPuts("lost-reply", "late");
    await expect(copyAll(copier)).rejects.toMatchObject({ kind: "ambiguous" });
    await copyAll(copier);
    await faulty.deliverLate();
    expect(await restorableOf(copy)).toBe(vault.writer.position);
  });

  test("does without a checkpoint that the vault has lost, and says so", async () => {
    const copier = vault.copier(copy);
    await copyAll(copier);
    vault.database.stamp(300, 77);
    const before = await vault.raw.list("chunks/");
    await vault.checkpoint();
    for (const key of await vault.raw.list("chunks/")) if (!before.includes(key)) await vault.raw.delete(key);
    await vault.commit(1);
    await copyAll(copier);
    expect(vault.warnings.join()).toContain("is not copied");
    expect(copier.end).toMatchObject({ position: vault.writer.position, checkpoint: 0 });
  });

  test("is not written where something else is", async () => {
    const other = await new FilledVault().begin();
    await expect(copyAll(vault.copier(other.raw))).rejects.toBeInstanceOf(CopyPlaceError);
    const ofOther = new MemoryStore();
    await other.copier(ofOther).copyUpTo(1, never);
    await expect(copyAll(vault.copier(ofOther))).rejects.toBeInstanceOf(CopyPlaceError);
  });

  test("that has other records than the vault is left as it is", async () => {
    await vault.copier(copy).copyUpTo(3, never);
    const forked = await new FilledVault().begin({ host: "b" });
    await forked.commit(5);
    const { identity, keys } = vault;
    const copier = new VaultCopier({
      ...{ source: forked.raw, log: forked.log, copy, identity, keys, clock: new JumpingClock() },
      ...{ policy: () => policy, onWarning: () => undefined },
    });
    await expect(copier.copyUpTo(6, never)).rejects.toBeInstanceOf(CopyDiffersError);
    expect(await copy.get(logKey(4))).toBeUndefined();
    await expect(vault.copier(copy).copyUpTo(2, never)).rejects.toBeInstanceOf(CopyDiffersError);
  });
});
