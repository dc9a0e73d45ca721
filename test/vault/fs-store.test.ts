import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FsStore } from "../../src/vault/fs-store.ts";
import { openStore } from "../../src/vault/open-store.ts";
import { failureOf } from "./log-fixture.ts";
import { describeStoreContract } from "./store-contract.ts";
import { makeTemporaryVault, type TemporaryVault } from "./temporary-vault.ts";

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

  test("lets exactly one of several processes create each key, and it is that one's content", async () => {
    const keys = 200;
    const children = ["p", "q", "r", "s"].map((name) => {
      const command = [process.execPath, join(import.meta.dir, "race-child.ts"), vault.folder, name, String(keys)];
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
      for (let part = await reader.read(); !part.done; part = await reader.read()) output += decoder.decode(part.value, { stream: true });
      for (const key of JSON.parse(output) as number[]) {
        expect(wins.has(key)).toBe(false);
        wins.set(key, children[index]?.name ?? "");
      }
    }
    expect(wins.size).toBe(keys);
    for (const [key, name] of wins) expect(await readFile(join(vault.folder, "log", String(key)), "utf8")).toBe(`${name} ${key}`);
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  }, 30_000);

  test("leaves no temporary file and one name for each content", async () => {
    for (let index = 0; index < 5; index += 1) await vault.store.putIfAbsent(`log/${index}`, bytes);
    await vault.store.putIfAbsent("log/0", bytes);
    await vault.store.settle();
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
    await writeFile(old, "x");
    await writeFile(young, "x");
    const twoDaysAgo = new Date(Date.now() - 48 * 3600 * 1000);
    await utimes(old, twoDaysAgo, twoDaysAgo);
    await vault.open();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual(["young"]);
  });

  test("says `unavailable`, not `ambiguous`, when the folder for temporaries is away: nothing can have happened", async () => {
    await rm(join(vault.folder, "tmp"), { recursive: true });
    expect(await failureOf(vault.store.putIfAbsent("log/1", bytes))).toMatchObject({ name: "StoreError", kind: "unavailable" });
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
