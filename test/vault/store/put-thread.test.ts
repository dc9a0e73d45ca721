import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCalls } from "../../../src/vault/store/fs-calls.ts";
import type { Temporary } from "../../../src/vault/store/fs-temporaries.ts";
import { FsStore } from "../../../src/vault/store/fs-store.ts";
import {
  PutThread,
  type PutRequest,
  type SmallPuts,
  type ThreadPut,
  threadPutBytesMax,
} from "../../../src/vault/store/put-thread.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";
import { makeTemporaryVault, type TemporaryVault } from "../../support/vault/temporary-vault.ts";

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // Closed meanwhile.
  }
}

/** A thread that is started at once and counts the puts that reach it. */
class CountedThread implements SmallPuts {
  readonly #thread = new PutThread({ startsAfter: 0 });
  puts = 0;
  openedAhead = 0;
  isFree = (bytes: number): boolean => this.#thread.isFree(bytes);
  forgetFolders = (): void => this.#thread.forgetFolders();
  replace = (temporary: Temporary, next: string): boolean => this.#thread.replace(temporary, next);
  takeAhead = (): Temporary | undefined => {
    const ahead = this.#thread.takeAhead();
    if (ahead !== undefined) this.openedAhead += 1;
    return ahead;
  };
  close = (): Promise<void> => this.#thread.close();
  put = (request: PutRequest): Promise<ThreadPut> => {
    this.puts += 1;
    return this.#thread.put(request);
  };

  async started(): Promise<this> {
    while (!this.isFree(0)) await new Promise((resolve) => setTimeout(resolve, 1));
    return this;
  }
}

describeStoreContract("the fs store whose small puts a thread makes", async () => {
  const vault = await makeTemporaryVault();
  const stores: FsStore[] = [];
  for (let i = 0; i < 2; i += 1) {
    const smallPuts = await new CountedThread().started();
    stores.push(new FsStore({ folder: vault.folder, network: false, smallPuts }));
  }
  const dispose = async (): Promise<void> => {
    for (const store of stores) await store.close();
    await vault.dispose();
  };
  return { store: stores[0] as FsStore, other: stores[1] as FsStore, dispose };
});

describe("the thread of small puts", () => {
  let vault: TemporaryVault;
  let thread: CountedThread;
  let store: FsStore;
  beforeEach(async () => {
    vault = await makeTemporaryVault();
    thread = await new CountedThread().started();
    store = new FsStore({ folder: vault.folder, network: false, smallPuts: thread });
  });
  afterEach(async () => {
    await store.close();
    await vault.dispose();
  });
  const bytes = new TextEncoder().encode("content");
  const key = "log/0000000000000001";

  test("makes them one after the other, and leaves no temporary behind", async () => {
    for (let i = 0; i < 50; i += 1) expect(await store.putIfAbsent(`log/${i}`, bytes)).toEqual({ kind: "created" });
    expect(thread.puts).toBe(50);
    await store.close();
    await vault.store.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
    for (let i = 0; i < 50; i += 1) expect(await vault.store.get(`log/${i}`)).toEqual(bytes);
  });

  test("leaves to the pool every put that comes while it is busy, is large or is in a folder further down", async () => {
    const keys = Array.from({ length: 8 }, (_, i) => `log/${i}`);
    await Promise.all(keys.map((each) => store.putIfAbsent(each, bytes)));
    expect(thread.puts).toBeGreaterThan(0);
    expect(thread.puts).toBeLessThan(8);
    const before = thread.puts;
    await store.putIfAbsent("log/large", new Uint8Array(threadPutBytesMax + 1));
    await store.putIfAbsent("chunks/ab/cd", bytes);
    expect(thread.puts).toBe(before);
    for (const each of keys) expect(await vault.store.get(each)).toEqual(bytes);
  });

  test("reports a taken name as existing, and keeps its content", async () => {
    await vault.store.putIfAbsent(key, new TextEncoder().encode("theirs"));
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "exists" });
    expect(thread.puts).toBe(1);
    expect(new TextDecoder().decode(await vault.store.get(key))).toBe("theirs");
  });

  test("puts into a missing folder once that is made again", async () => {
    await rm(join(vault.folder, "log"), { recursive: true });
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "created" });
    expect(thread.puts).toBe(1);
    expect(await vault.store.get(key)).toEqual(bytes);
  });

  test("syncs the folder that was made in the place of a removed one, not the removed one", async () => {
    await store.putIfAbsent(key, bytes);
    await rm(join(vault.folder, "log"), { recursive: true });
    // By the pool: the thread does not meet the missing name itself.
    await store.putIfAbsent("log/large", new Uint8Array(threadPutBytesMax + 1));
    expect(await store.putIfAbsent("log/next", bytes)).toEqual({ kind: "created" });
    expect(thread.puts).toBe(2);
    expect(await vault.store.get("log/next")).toEqual(bytes);
    const opened = readdirSync("/proc/self/fd").map((fd) => linkOf(`/proc/self/fd/${fd}`));
    expect(opened).toContain(join(vault.folder, "log"));
    expect(opened).not.toContain(`${join(vault.folder, "log")} (deleted)`);
  });

  test("has a second thread beside it, which removes each temporary and opens the next one", async () => {
    for (let i = 0; thread.openedAhead < 20; i += 1) {
      await store.putIfAbsent(`log/${i}`, bytes);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const each of [store, vault.store]) await each.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  });

  test("puts all the same where the second thread cannot remove or open", async () => {
    await store.putIfAbsent(key, bytes);
    while (thread.openedAhead === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      await store.putIfAbsent(`log/a${thread.puts}`, bytes);
    }
    // Not removed: the second thread may be creating or removing a file in it.
    await rename(join(vault.folder, "tmp"), join(vault.folder, "away"));
    const put = (): Promise<unknown> => store.putIfAbsent("log/lost", bytes).catch((error: unknown) => error);
    expect(await put()).toMatchObject({ name: "StoreError", kind: "unavailable" });
    await mkdir(join(vault.folder, "tmp"));
    // What the thread and the pool had opened before is lost, each for one put.
    const outcomes = [await put(), await put(), await put()];
    for (const outcome of outcomes)
      if (outcome instanceof Error) expect(outcome).toMatchObject({ name: "StoreError", kind: "unavailable" });
    expect(outcomes.at(-1)).not.toBeInstanceOf(Error);
    expect(await vault.store.get("log/lost")).toEqual(bytes);
  });

  test("does not keep a process from ending", async () => {
    const script = `
      import { PutThread } from ${JSON.stringify(join(import.meta.dir, "../../../src/vault/store/put-thread.ts"))};
      const thread = new PutThread({ startsAfter: 0 });
      while (!thread.isFree(0)) await new Promise((resolve) => setTimeout(resolve, 1));
      console.log("started");`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stdout).text()).toBe("started\n");
  });
});

describe("a put of the thread that failed", () => {
  let vault: TemporaryVault;
  beforeEach(async () => {
    vault = await makeTemporaryVault();
  });
  afterEach(() => vault.dispose());
  const bytes = new TextEncoder().encode("content");
  const key = "log/0000000000000001";

  /** A store whose thread does `put`. */
  function storeWith(put: (request: PutRequest) => Promise<ThreadPut>): FsStore {
    return new FsStore({
      folder: vault.folder,
      network: false,
      smallPuts: {
        isFree: () => true,
        put,
        forgetFolders: () => undefined,
        replace: () => false,
        takeAhead: () => undefined,
        close: () => Promise.resolve(),
      },
    });
  }
  const failed = (at: "write" | "link" | "folder", code: string): Promise<ThreadPut> =>
    Promise.resolve({ kind: "failed", at, error: Object.assign(new Error(code), { code }) });
  const emptiedAt = async (store: FsStore): Promise<void> => {
    for (const each of [store, vault.store]) await each.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  };

  test("at the write is certain: nothing is visible", async () => {
    const store = storeWith(() => failed("write", "ENOSPC"));
    expect(await failureOf(store.putIfAbsent(key, bytes))).toMatchObject({ name: "StoreError", kind: "full" });
    await emptiedAt(store);
  });

  test("at the link is resolved by the inode, as for the pool", async () => {
    const store = storeWith(async ({ temporary, path, bytes: content }) => {
      await systemCalls.write(temporary.fd, content);
      await systemCalls.fsync(temporary.fd);
      await systemCalls.link(temporary.path, path);
      return failed("link", "EEXIST");
    });
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "created" });
    await emptiedAt(store);
  });

  test("at the link over another's name is `exists`", async () => {
    await vault.store.putIfAbsent(key, bytes);
    const store = storeWith(() => failed("link", "EEXIST"));
    expect(await store.putIfAbsent(key, bytes)).toEqual({ kind: "exists" });
    await emptiedAt(store);
  });

  test("at the folder's sync is ambiguous, with every error", async () => {
    let next = "";
    const store = storeWith(() => failed("folder", next));
    for (next of ["EIO", "ENOSPC", "EROFS"])
      expect(await failureOf(store.putIfAbsent(key, bytes))).toMatchObject({ name: "StoreError", kind: "ambiguous" });
    await emptiedAt(store);
  });

  test("because the thread ended is ambiguous", async () => {
    const store = storeWith(() => Promise.reject(new Error("the thread of puts has ended")));
    expect(await failureOf(store.putIfAbsent(key, bytes))).toMatchObject({ name: "StoreError", kind: "ambiguous" });
    await emptiedAt(store);
  });
});
