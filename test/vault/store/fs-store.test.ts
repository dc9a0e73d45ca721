import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FsStore } from "../../../src/vault/store/fs-store.ts";
import { systemCalls } from "../../../src/vault/store/fs-calls.ts";
import { openStore } from "../../../src/vault/store/open-store.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";
import { makeTemporaryVault, type TemporaryVault } from "../../support/vault/temporary-vault.ts";

describeStoreContract("the fs store", async () => {
  const vault = await makeTemporaryVault();
  return { store: vault.store, other: await vault.open(), dispose: vault.dispose };
});

describeStoreContract("the fs store on what may be a network file system", async () => {
  const vault = await makeTemporaryVault();
  const stores = [0, 1].map(() => new FsStore({ folder: vault.folder, network: true }));
  const dispose = async (): Promise<void> => {
    for (const store of stores) await store.close();
    await vault.dispose();
  };
  return { store: stores[0] as FsStore, other: stores[1] as FsStore, dispose };
});

describe("the fs store", () => {
  let vault: TemporaryVault;
  beforeEach(async () => {
    vault = await makeTemporaryVault();
  });
  afterEach(() => vault.dispose());
  const bytes = new TextEncoder().encode("content");

  test("syncs the folder that was made in the place of a removed one, not the removed one", async () => {
    const synced: bigint[] = [];
    const fsync = async (fd: number): Promise<void> => {
      synced.push((await systemCalls.identify(fd)).ino);
      await systemCalls.fsync(fd);
    };
    const store = new FsStore({ folder: vault.folder, network: false, calls: { ...systemCalls, fsync } });
    await store.putIfAbsent("log/first", bytes);
    await rm(join(vault.folder, "log"), { recursive: true });
    await store.putIfAbsent("log/second", bytes);
    expect(synced.at(-1)).toBe((await stat(join(vault.folder, "log"), { bigint: true })).ino);
    await store.close();
  });

  test("lets exactly one of several processes create each key, and it is that one's content", async () => {
    const keys = 200;
    const children = ["p", "q", "r", "s"].map((name) => {
      const command = [
        process.execPath,
        join(import.meta.dir, "../../support/vault/race-child.ts"),
        vault.folder,
        name,
        String(keys),
      ];
      return { name, process: Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" }) };
    });
    const readers = children.map((child) => child.process.stdout.getReader());
    const decoder = new TextDecoder();
    for (const reader of readers) expect(decoder.decode((await reader.read()).value)).toBe("ready\n");
    for (const child of children) {
      await child.process.stdin.write("go\n");
      await child.process.stdin.end();
    }
    const wins = new Map<number, string>();
    for (const [index, reader] of readers.entries()) {
      let output = "";
      for (let part = await reader.read(); !part.done; part = await reader.read())
        output += decoder.decode(part.value, { stream: true });
      for (const key of JSON.parse(output) as number[]) {
        expect(wins.has(key)).toBe(false);
        wins.set(key, children[index]?.name ?? "");
      }
    }
    expect(wins.size).toBe(keys);
    await vault.store.close();
    for (const [key, name] of wins)
      expect(await readFile(join(vault.folder, "log", String(key)), "utf8")).toBe(`${name} ${key}`);
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  }, 30_000);

  test("leaves no temporary file and one name for each content", async () => {
    for (let index = 0; index < 5; index += 1) await vault.store.putIfAbsent(`log/${index}`, bytes);
    await vault.store.putIfAbsent("log/0", bytes);
    await vault.store.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
    expect((await stat(join(vault.folder, "log/0"))).nlink).toBe(1);
  });

  test("removes an empty folder of chunks, and makes it again when it is needed", async () => {
    await vault.store.putIfAbsent("chunks/1/a", bytes);
    await vault.store.delete("chunks/1/a");
    expect(await readdir(join(vault.folder, "chunks"))).toEqual([]);
    expect(await vault.store.putIfAbsent("chunks/1/a", bytes)).toEqual({ kind: "created" });
  });

  test("does not list what it did not write: hidden names, other names, temporaries", async () => {
    await vault.store.putIfAbsent("log/1", bytes);
    await writeFile(join(vault.folder, "log/.nfs0001"), "");
    await writeFile(join(vault.folder, "log/READ ME"), "");
    expect(await vault.store.list("log/")).toEqual(["log/1"]);
  });

  test("removes temporaries of a crash when they are a day old, and leaves younger ones", async () => {
    const [old, young] = ["old", "young"].map((name) => join(vault.folder, "tmp", name)) as [string, string];
    await vault.store.close();
    await writeFile(old, "x");
    await writeFile(young, "x");
    const twoDaysAgo = new Date(Date.now() - 48 * 3600 * 1000);
    await utimes(old, twoDaysAgo, twoDaysAgo);
    await (await vault.open()).close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual(["young"]);
  });

  test("says `unavailable`, not `ambiguous`, when the folder for temporaries is away: nothing can have happened", async () => {
    await rm(join(vault.folder, "tmp"), { recursive: true });
    expect(await failureOf(vault.store.putIfAbsent("log/1", bytes))).toMatchObject({
      name: "StoreError",
      kind: "unavailable",
    });
    expect(await vault.store.get("log/1")).toBeUndefined();
    await mkdir(join(vault.folder, "tmp"));
    expect(await vault.store.putIfAbsent("log/1", bytes)).toEqual({ kind: "created" });
  });

  test("is refused when it is opened where there is no vault: missing, a file, an empty mount point, a relative path, another scheme", async () => {
    const empty = join(vault.folder, "..", "empty");
    await mkdir(empty);
    expect(await failureOf(openStore(join(vault.folder, "none")))).toMatchObject({ kind: "not-a-vault" });
    expect(await failureOf(openStore(join(vault.folder, "identity.json")))).toMatchObject({ kind: "not-a-vault" });
    expect(await failureOf(openStore(empty))).toMatchObject({ kind: "not-a-vault" });
    expect(await readdir(empty)).toEqual([]);
    expect(await failureOf(openStore("vault"))).toMatchObject({ kind: "unsuitable" });
    expect(await failureOf(openStore("ftp://host/vault"))).toMatchObject({ kind: "unsuitable" });
  });

  test("is opened by a path and by a file URL, with or without a slash at the end", async () => {
    for (const url of [vault.folder, `${vault.folder}/`, `file://${vault.folder}`]) {
      const store = await openStore(url);
      expect(store.url).toBe(`file://${vault.folder}`);
      await store.close();
    }
  });
});

describe("the fs store on a file system that does not say what happened", () => {
  let vault: TemporaryVault;
  beforeEach(async () => {
    vault = await makeTemporaryVault();
  });
  afterEach(() => vault.dispose());
  const key = "log/0000000000000001";
  const bytes = new TextEncoder().encode("mine");
  const failWith = (code: string): Error => Object.assign(new Error(code), { code });

  /** A store whose calls fail as told: each entry is taken by the next call of that name. */
  function faulty(
    script: Partial<
      Record<"link" | "fsync" | "write" | "open", ((call: () => Promise<unknown>) => Promise<unknown>)[]>
    >,
  ): FsStore {
    const wrap = <A extends unknown[], R>(name: keyof typeof script, call: (...args: A) => Promise<R>) => {
      return (...args: A): Promise<R> => {
        const fault = script[name]?.shift();
        return fault === undefined ? call(...args) : (fault(() => call(...args)) as Promise<R>);
      };
    };
    const { link, fsync, write, open } = systemCalls;
    const calls = {
      ...systemCalls,
      link: wrap("link", link),
      fsync: wrap("fsync", fsync),
      write: wrap("write", write),
      open: wrap("open", open),
    };
    return new FsStore({ folder: vault.folder, network: false, calls });
  }
  const happensAndFails =
    (code: string) =>
    async (call: () => Promise<unknown>): Promise<never> => {
      await call();
      throw failWith(code);
    };
  const fails = (code: string) => (): Promise<never> => Promise.reject(failWith(code));
  const happens = (call: () => Promise<unknown>): Promise<unknown> => call();

  for (const code of ["EEXIST", "EIO", "ESTALE", "ETIMEDOUT", "ENOSPC"]) {
    test(`a link that was made and reported as ${code} is recognised by its inode`, async () => {
      const store = faulty({ link: [happensAndFails(code)] });
      expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "created" });
      expect(await vault.store.get(key)).toEqual(bytes);
      await store.close();
    });

    test(`a link reported as ${code} over another writer's name is not taken for its own, even with the same content`, async () => {
      await vault.store.putIfAbsent(key, bytes);
      const store = faulty({ link: [fails(code)] });
      expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "exists" });
      await store.close();
    });
  }

  test("two files whose inode numbers differ only beyond 2^53 are two files", async () => {
    const beyond = 2n ** 53n;
    const identities = new Map<bigint, bigint>();
    // As CephFS and GlusterFS number files: neighbours that are the same number as doubles.
    const identify = async (fd: number): Promise<{ ino: bigint; dev: bigint }> => {
      const { ino, dev } = await systemCalls.identify(fd);
      if (!identities.has(ino)) identities.set(ino, beyond + BigInt(identities.size));
      return { ino: identities.get(ino) ?? 0n, dev };
    };
    expect(Number(beyond)).toBe(Number(beyond + 1n));
    await vault.store.putIfAbsent(key, bytes);
    const store = new FsStore({ folder: vault.folder, network: false, calls: { ...systemCalls, identify } });
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "exists" });
    await store.close();
  });

  test("a name whose file has the temporary's inode number and another content belongs to another writer", async () => {
    await vault.store.putIfAbsent(key, new TextEncoder().encode("theirs"));
    const store = new FsStore({
      folder: vault.folder,
      network: false,
      calls: { ...systemCalls, identify: () => Promise.resolve({ ino: 7n, dev: 1n }) },
    });
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "exists" });
    expect(new TextDecoder().decode(await vault.store.get(key))).toBe("theirs");
    await store.close();
  });

  for (const [code, kind] of [
    ["EIO", "ambiguous"],
    ["ETIMEDOUT", "ambiguous"],
    ["ESTALE", "ambiguous"],
    ["EEXIST", "ambiguous"],
    ["ENOSPC", "full"],
    ["EDQUOT", "full"],
    ["EROFS", "denied"],
    ["EACCES", "denied"],
    ["EMLINK", "unsuitable"],
  ] as const) {
    test(`a link that fails with ${code} and is not there is ${kind}`, async () => {
      const store = faulty({ link: [fails(code)] });
      const failure = await failureOf(store.putIfAbsent(key, bytes));
      expect(failure).toMatchObject({ name: "StoreError", kind });
      expect((failure as { advice: string }).advice.length).toBeGreaterThan(10);
      expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "created" });
      await store.close();
    });
  }

  test("a folder that could not be synced leaves the put ambiguous, and the retry syncs before it says `exists`", async () => {
    const syncs: string[] = [];
    const note =
      (name: string) =>
      (call: () => Promise<unknown>): Promise<unknown> => (syncs.push(name), call());
    const store = faulty({ fsync: [note("file"), fails("EIO"), note("file"), note("folder")] });
    expect(await failureOf(store.putIfAbsent(key, bytes))).toMatchObject({ kind: "ambiguous" });
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "exists" });
    expect(syncs).toEqual(["file", "file", "folder"]);
    await store.close();
  });

  test("a file that could not be written or synced stores nothing, for sure, and the next attempt uses another file", async () => {
    for (const [call, code, kind] of [
      ["write", "ENOSPC", "full"],
      ["fsync", "EIO", "unavailable"],
      ["fsync", "EDQUOT", "full"],
      ["open", "EROFS", "denied"],
    ] as const) {
      const store = faulty({ [call]: [fails(code)] });
      expect(await failureOf(store.putIfAbsent(`log/${call}-${code.toLowerCase()}`, bytes))).toMatchObject({ kind });
      expect(await vault.store.get(`log/${call}-${code.toLowerCase()}`)).toBeUndefined();
      expect(await store.putIfAbsent(`log/${call}-${code.toLowerCase()}`, bytes)).toEqual({ kind: "created" });
      await store.close();
    }
    await vault.store.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  });

  test("an announced object is written before it is put, once, and leaves nothing when it is never put", async () => {
    let written = 0;
    const count = (call: () => Promise<unknown>): Promise<unknown> => ((written += 1), call());
    const store = faulty({ write: [count, count, count] });
    store.prepare(key, bytes);
    while (written === 0) await store.get(key);
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "created" });
    expect(written).toBe(1);
    expect(await vault.store.get(key)).toEqual(bytes);
    store.prepare("log/never", bytes);
    store.prepare("log/never-either", bytes);
    await store.close();
    store.prepare("log/too-late", bytes);
    await vault.store.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
    expect(await readdir(join(vault.folder, "log"))).toEqual(["0000000000000001"]);
  });

  test("an object that could not be written ahead is written when it is put", async () => {
    for (const [call, code] of [
      ["write", "ENOSPC"],
      ["fsync", "EIO"],
      ["open", "EROFS"],
    ] as const) {
      const store = faulty({ [call]: [fails(code)] });
      store.prepare(`log/${call}`, bytes);
      expect(await store.putIfAbsent(`log/${call}`, bytes)).toEqual({ kind: "created" });
      expect(await vault.store.get(`log/${call}`)).toEqual(bytes);
      await store.close();
    }
    await vault.store.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  });

  test("a temporary that was opened ahead and then removed costs one attempt, not a record", async () => {
    const store = faulty({ link: [happens] });
    await store.putIfAbsent("log/first", bytes);
    await store.get("log/first");
    while ((await readdir(join(vault.folder, "tmp"))).length < 2) await store.get("log/first");
    for (const name of await readdir(join(vault.folder, "tmp"))) await rm(join(vault.folder, "tmp", name));
    expect(await failureOf(store.putIfAbsent(key, bytes))).toMatchObject({ kind: "unavailable" });
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "created" });
    expect(await store.get(key)).toEqual(bytes);
    await store.close();
  });
});
