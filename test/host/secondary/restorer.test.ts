import { afterEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localDatabases } from "../../../src/capture/local-state.ts";
import { Replica } from "../../../src/capture/replica.ts";
import { allRules } from "../../../src/core/rules.ts";
import { readLocalChunk } from "../../../src/host/secondary/local-chunk.ts";
import { LocalData } from "../../../src/host/secondary/local-data.ts";
import { EmptyVaultError, restore, type Restored, type RestoreOptions } from "../../../src/host/secondary/restorer.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { readManifest, writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { LeftBehindError } from "../../../src/vault/errors.ts";
import { checkpointKey } from "../../../src/vault/keys.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { chunkBytes } from "../../../src/vault/limits.ts";
import { chunkNamesOf } from "../../../src/vault/store/chunk-names.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { type Store, StoreError } from "../../../src/vault/store/store.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { raiseBoundary } from "../../support/vault/log-fixture.ts";
import { claimAs, logIn, Pages, pageSize, zeros } from "../../support/host/log-fixture.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A first page that SQLite's header makes a database of 512-byte pages; `fill` tells one state from another. */
class Vault {
  readonly memory = new MemoryStore();
  readonly pages = new Pages("a.db");
  #writer: LogWriter | undefined;

  async bootstrap(): Promise<void> {
    this.pages.change({ 1: 1 });
    await this.#checkpoint(0, zeros, 0, 0);
    this.#writer = await claimAs(this.memory, "b");
  }

  async commit(fills: Readonly<Record<number, number>>): Promise<void> {
    await this.writer.append({ kind: "commit", part: 1, parts: 1, databases: [this.pages.change(fills)] });
  }

  async checkpoint(): Promise<number> {
    const { position, hash, epoch, claimPosition } = this.writer;
    await this.#checkpoint(position, hash, epoch, claimPosition);
    await this.writer.append({ kind: "renew" });
    return position;
  }

  get writer(): LogWriter {
    if (this.#writer === undefined) throw new Error("no epoch was claimed");
    return this.#writer;
  }

  get content(): string {
    return Buffer.concat(this.pages.contents).toString("hex");
  }

  async #checkpoint(position: number, hash: string, epoch: number, epochPosition: number): Promise<void> {
    await writeCheckpoint({
      store: this.memory,
      position,
      hash,
      epoch,
      epochPosition,
      wallTimeMs: 0,
      databases: [this.pages.snapshot()],
    });
  }
}

async function place(checksumOf?: () => Uint8Array): Promise<{
  local: LocalData;
  data: string;
  options: (store: Store, changes?: Partial<RestoreOptions<Replica>>) => RestoreOptions<Replica>;
  warnings: string[];
}> {
  const root = mkdtempSync(join(tmpdir(), "stead-restorer-"));
  folders.push(root);
  const data = join(root, "data");
  const state = join(root, "state");
  const real = localDatabases(["*.db"]);
  // The test's pages are no real SQLite databases: it says itself what checksum the old files have.
  const files = { find: real.find, committedChecksum: () => Promise.resolve(checksumOf?.()) };
  const local = new LocalData(
    { dataFolder: data, stateFolder: state, setAsideFolder: join(state, "set-aside") },
    files,
  );
  await local.prepare();
  const warnings: string[] = [];
  const options = (store: Store, changes: Partial<RestoreOptions<Replica>> = {}): RestoreOptions<Replica> => ({
    ...{
      store,
      log: logIn(store),
      clock: systemClock,
      rules: allRules,
      local,
      openTarget: () => Replica.open({ root: data }),
    },
    ...{
      localChunk: () => Promise.resolve(undefined),
      onVaultFailure: (text) => warnings.push(text),
      onWarning: (text) => warnings.push(text),
      onRecord: () => undefined,
      signal: new AbortController().signal,
    },
    ...changes,
  });
  return { local, data, options, warnings };
}

async function done(work: Promise<Restored<Replica>>): Promise<Restored<Replica>> {
  const restored = await work;
  await restored.target.close();
  return restored;
}

describe("a restore", () => {
  test("brings the databases to the end of the log", async () => {
    const [vault, { data, options }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    await vault.checkpoint();
    await vault.commit({ 1: 3, 3: 3 });
    const { follower, checkpoint } = await done(restore(options(vault.memory)));
    expect(readFileSync(join(data, "a.db"), "hex")).toBe(vault.content);
    expect(follower.epoch?.host).toBe("b");
    expect(follower.reader.position).toBe(vault.writer.position);
    expect(checkpoint.position).toBeGreaterThan(0);
  });

  test("waits for an empty vault, and moves nothing that it may be told to begin with", async () => {
    const { local, data, options } = await place();
    writeFileSync(join(data, "a.db"), "an operator's");
    await expect(restore(options(new MemoryStore()))).rejects.toBeInstanceOf(EmptyVaultError);
    expect(readFileSync(join(data, "a.db"), "utf8")).toBe("an operator's");
    expect(existsSync(local.previousFolder)).toBe(false);
  });

  test("takes an older checkpoint when the newest is damaged, and says so", async () => {
    const [vault, { data, options, warnings }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    const newest = await vault.checkpoint();
    await vault.commit({ 3: 3 });
    vault.memory.overwrite(checkpointKey(newest), new Uint8Array([1, 2, 3]));
    const { checkpoint } = await done(restore(options(vault.memory)));
    expect(checkpoint.position).toBe(0);
    expect(readFileSync(join(data, "a.db"), "hex")).toBe(vault.content);
    expect(warnings.join("\n")).toContain(`checkpoint at position ${newest} cannot be used`);
    expect(warnings.join("\n")).toContain("restored from the older checkpoint at position 0");
  });

  test("takes none from below the boundary, whose log is gone: it says what is wrong with the newest", async () => {
    const [vault, { options, warnings }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    const newest = await vault.checkpoint();
    await logIn(vault.memory).removeUpTo(newest);
    vault.memory.overwrite(checkpointKey(newest), new Uint8Array([1, 2, 3]));
    await expect(restore(options(vault.memory))).rejects.toMatchObject({ kind: "damaged-manifest" });
    expect(warnings.join("\n")).not.toContain("position 0");
  });

  test("does not go back to an older checkpoint because the vault does not answer, or because it was stopped", async () => {
    const [vault, { options, warnings }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.checkpoint();
    const faulty = new FaultyStore(vault.memory);
    faulty.beforeGet = (key) =>
      key.startsWith("chunks/")
        ? Promise.reject(new StoreError("unavailable", "no answer", "wait"))
        : Promise.resolve();
    await expect(restore(options(faulty))).rejects.toThrow("no answer");
    const stop = new AbortController();
    faulty.beforeGet = () => Promise.resolve(stop.abort(new Error("the next stage begins")));
    await expect(restore(options(faulty, { signal: stop.signal }))).rejects.toThrow("the next stage begins");
    expect(warnings).toEqual([]);
  });

  test("reads the journal on when the vault did not answer for a moment, without loading everything again", async () => {
    const [vault, { data, options, warnings }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    const faulty = new FaultyStore(vault.memory);
    let failures = 1;
    faulty.beforeGet = (key) =>
      key.endsWith("2") && key.startsWith("log/") && failures-- > 0
        ? Promise.reject(new StoreError("unavailable", "no answer", "wait"))
        : Promise.resolve();
    let opened = 0;
    await done(restore(options(faulty, { openTarget: () => ((opened += 1), Replica.open({ root: data })) })));
    expect([opened, warnings]).toEqual([1, ["the vault cannot be read: no answer (wait)"]]);
    expect(readFileSync(join(data, "a.db"), "hex")).toBe(vault.content);
  });

  test("continues one that was interrupted: what was written is taken over, and not read from the vault again", async () => {
    const [vault, { local, data, options }] = [new Vault(), await place()];
    const chunks = 8;
    const pages = (chunks * chunkBytes) / pageSize;
    const fills = Array.from({ length: pages }, (_, index) => [index + 1, 1 + (index % 251)] as const);
    vault.pages.change(Object.fromEntries(fills));
    await vault.bootstrap();
    const read: string[] = [];
    const faulty = new FaultyStore(vault.memory);
    let isBroken = true;
    faulty.beforeGet = (key) => {
      if (!key.startsWith("chunks/")) return Promise.resolve();
      if (isBroken && read.length === chunks - 1)
        return Promise.reject(new StoreError("unavailable", "no answer", "wait"));
      return Promise.resolve(void read.push(key));
    };
    const parts: Partial<RestoreOptions<Replica>> = {
      openTarget: () => Replica.open({ root: data, formerFile: (name) => local.formerDatabase(name) }),
      localChunk: (name, offset, length, chunk) =>
        readLocalChunk([local.previousFolder, data], { name, offset, length, chunk }, chunkNamesOf(faulty)),
    };
    await expect(restore(options(faulty, parts))).rejects.toThrow("no answer");
    const { ino } = statSync(join(data, "a.db"));
    isBroken = false;
    expect(read.splice(0)).toHaveLength(chunks - 1);
    await done(restore(options(faulty, parts)));
    // The last ones that were read may not have been written yet.
    expect(read).not.toContain((await readManifest(vault.memory, 0))?.databases[0]?.chunks[0]);
    expect(read.length).toBeLessThan(chunks);
    expect(readFileSync(join(data, "a.db"), "hex")).toBe(vault.content);
    expect(statSync(join(data, "a.db")).ino).toBe(ino);
    expect(existsSync(local.previousFolder)).toBe(false);
  });

  test("that another process disturbs blames no checkpoint for it, and is tried again", async () => {
    const [vault, { data, options, warnings }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    await vault.checkpoint();
    let isDisturbed = true;
    const localChunk = async (): Promise<undefined> => {
      if (isDisturbed) appendFileSync(join(data, "a.db"), "an operator's");
      isDisturbed = false;
    };
    await expect(restore(options(vault.memory, { localChunk }))).rejects.toMatchObject({ kind: "foreign" });
    expect(warnings).toEqual([]);
    await done(restore(options(vault.memory, { localChunk })));
    expect(readFileSync(join(data, "a.db"), "hex")).toBe(vault.content);
  });

  test("fails when retention has removed the journal that its checkpoint needs, and succeeds when it is started again", async () => {
    const [vault, { options }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    await raiseBoundary(vault.memory, vault.writer.position + 5);
    await expect(restore(options(vault.memory))).rejects.toBeInstanceOf(LeftBehindError);
  });

  test("closes what it has opened when the journal cannot be read", async () => {
    const [vault, { data, options }] = [new Vault(), await place()];
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    await raiseBoundary(vault.memory, vault.writer.position + 5);
    const closed: string[] = [];
    const openTarget = async (): Promise<Replica> => {
      const replica = await Replica.open({ root: data });
      const close = replica.close.bind(replica);
      return Object.assign(replica, { close: () => close().then(() => void closed.push("a replica")) });
    };
    await expect(restore(options(vault.memory, { openTarget }))).rejects.toBeInstanceOf(LeftBehindError);
    expect(closed).toEqual(["a replica"]);
  });

  test("makes room when the disk is full of an old copy that is not needed", async () => {
    const [vault, { local, data, options }] = [new Vault(), await place()];
    await vault.bootstrap();
    writeFileSync(join(data, "a.db"), "an old copy");
    await local.mark({ kind: "secondary" });
    const full = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC", errno: -28 });
    await expect(
      restore(
        options(vault.memory, {
          openTarget: async () =>
            Object.assign(await Replica.open({ root: data }), { load: () => Promise.reject(full) }),
        }),
      ),
    ).rejects.toThrow("ENOSPC");
    expect(readdirSync(local.previousFolder)).toEqual(["marker.json"]);
    await done(restore(options(vault.memory)));
    expect(readFileSync(join(data, "a.db"), "hex")).toBe(vault.content);
  });
});

describe("what a former primary left", () => {
  test("is forgotten when its state is in the journal after the checkpoint", async () => {
    const vault = new Vault();
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    const left = vault.pages.checksum();
    await vault.commit({ 3: 3 });
    const { local, data, options } = await place(() => left);
    writeFileSync(join(data, "a.db"), "the primary's");
    await local.mark({ kind: "primary", epoch: 1 });
    const { setAside } = await done(restore(options(vault.memory)));
    expect([setAside, existsSync(local.previousFolder), await local.setAsides()]).toEqual([undefined, false, []]);
  });

  test("is forgotten when its state lies before the newest checkpoint, in the journal that is kept", async () => {
    const vault = new Vault();
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    const left = vault.pages.checksum();
    await vault.commit({ 2: 9 });
    await vault.checkpoint();
    await vault.commit({ 3: 3 });
    await vault.checkpoint();
    const { local, data, options } = await place(() => left);
    writeFileSync(join(data, "a.db"), "the primary's");
    await local.mark({ kind: "primary", epoch: 1 });
    expect((await done(restore(options(vault.memory)))).setAside).toBeUndefined();
  });

  test("is set aside, never deleted, when it is nowhere in the journal", async () => {
    const vault = new Vault();
    await vault.bootstrap();
    await vault.commit({ 2: 2 });
    await vault.checkpoint();
    for (const checksum of [() => new Uint8Array(16).fill(7), undefined]) {
      const { local, data, options } = await place(checksum);
      writeFileSync(join(data, "a.db"), "never acknowledged");
      writeFileSync(join(data, "a.db-wal"), "its log");
      await local.mark({ kind: "primary", epoch: 1 });
      const { folder: setAside, what } = (await done(restore(options(vault.memory)))).setAside ?? {
        folder: "",
        what: "",
      };
      expect(what).toBe("state");
      expect(readFileSync(join(setAside, "a.db"), "utf8")).toBe("never acknowledged");
      expect(readFileSync(join(setAside, "a.db-wal"), "utf8")).toBe("its log");
      expect(await local.setAsides()).toEqual([setAside]);
      expect(await local.marker()).toEqual({ kind: "secondary" });
    }
  });

  test("survives a restore that fails half-way, and is judged by the one that succeeds", async () => {
    const vault = new Vault();
    await vault.bootstrap();
    const { local, data, options } = await place(() => new Uint8Array(16).fill(7));
    writeFileSync(join(data, "a.db"), "never acknowledged");
    await local.mark({ kind: "primary", epoch: 1 });
    await expect(
      restore(options(vault.memory, { openTarget: () => Promise.reject(new Error("died")) })),
    ).rejects.toThrow("died");
    const { folder: setAside, what } = (await done(restore(options(vault.memory)))).setAside ?? {
      folder: "",
      what: "",
    };
    expect(what).toBe("state");
    expect(readFileSync(join(setAside, "a.db"), "utf8")).toBe("never acknowledged");
  });
});
