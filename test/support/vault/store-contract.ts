/**
 * The contract of src/vault/store/store.ts as tests that every store must pass.
 *
 * A store that passes these differs from one that a vault can trust only in what no test can see: power failures and
 * other machines.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { failureOf } from "./log-fixture.ts";
import type { Store } from "../../../src/vault/store/store.ts";

export interface StoreUnderTest {
  readonly store: Store;
  /** Another handle on the same objects, as another process would have. */
  readonly other: Store;
  dispose(): Promise<void>;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const read = async (store: Store, key: string): Promise<string | undefined> => {
  const bytes = await store.get(key);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
};

export function describeStoreContract(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps the store contract`, () => {
    let current: StoreUnderTest;
    beforeEach(async () => {
      current = await make();
    });
    afterEach(() => current.dispose());

    test("a key without content gets it, and gives it back whole", async () => {
      const content = new Uint8Array(3_000_000).map((_, index) => (index * 31) % 251);
      expect(await current.store.putIfAbsent("log/0000000000000001", content)).toEqual({ kind: "created" });
      expect(Buffer.from((await current.other.get("log/0000000000000001")) ?? []).equals(content)).toBe(true);
    });

    test("a staged object is in no listing, and is put with another head under the key that it gets later", async () => {
      const [staged, put] = [text("head, and the rest"), text("HEAD, and the rest")];
      const bytes = await current.store.stage(staged);
      expect(await current.other.list("log/")).toEqual([]);
      if (bytes !== undefined) {
        const back = new Uint8Array(staged.byteLength);
        await bytes.read(back);
        expect(Buffer.from(back).equals(staged)).toBe(true);
        current.store.prepare("log/a", put, { staged: bytes, headBytes: 4 });
      }
      expect(await current.store.putIfAbsent("log/a", put)).toEqual({ kind: "created" });
      expect(await read(current.other, "log/a")).toBe("HEAD, and the rest");
      bytes?.drop();
      expect(await read(current.other, "log/a")).toBe("HEAD, and the rest");
    });

    test("a key with content keeps it", async () => {
      await current.store.putIfAbsent("log/a", text("first"));
      expect(await current.other.putIfAbsent("log/a", text("second"))).toEqual({ kind: "exists" });
      expect(await current.store.putIfAbsent("log/a", text("first"))).toEqual({ kind: "exists" });
      expect(await read(current.store, "log/a")).toBe("first");
    });

    test("of many that put the same key at the same time exactly one wins, and its content is there", async () => {
      for (let round = 0; round < 20; round += 1) {
        const key = `log/race-${round}`;
        const writers = Array.from({ length: 8 }, (_, index) => index);
        const outcomes = await Promise.all(
          writers.map((index) =>
            (index % 2 === 0 ? current.store : current.other).putIfAbsent(key, text(`writer ${index}`)),
          ),
        );
        const winners = writers.filter((index) => outcomes[index]?.kind === "created");
        expect(winners).toHaveLength(1);
        expect(await read(current.store, key)).toBe(`writer ${winners[0]}`);
      }
    });

    test("an empty content is a content", async () => {
      expect(await current.store.putIfAbsent("boundary/x", new Uint8Array())).toEqual({ kind: "created" });
      expect(await current.store.putIfAbsent("boundary/x", text("more"))).toEqual({ kind: "exists" });
      expect((await current.store.get("boundary/x"))?.length).toBe(0);
    });

    test("a key that was never put has no content, in any folder", async () => {
      expect(await current.store.get("log/none")).toBeUndefined();
      expect(await current.store.get("no-such-folder/none")).toBeUndefined();
      expect(await current.store.get("chunks/deep/deeper/none")).toBeUndefined();
    });

    test("what the caller does with its buffers afterwards changes nothing", async () => {
      const content = Buffer.from("before"); // A Buffer: its slice() would not copy.
      await current.store.putIfAbsent("log/a", content);
      content.fill(0);
      (await current.store.get("log/a"))?.fill(0);
      expect(await read(current.store, "log/a")).toBe("before");
    });

    test("an announced object is not there before it is put, and then whole, whatever was announced before and after", async () => {
      const [first, second] = [text("first"), text("second")];
      current.store.prepare?.("log/a", first);
      expect(await read(current.other, "log/a")).toBeUndefined();
      expect(await current.other.list("log/")).toEqual([]);
      current.store.prepare?.("log/b", second);
      expect(await current.store.putIfAbsent("log/a", first)).toEqual({ kind: "created" });
      expect(await current.store.putIfAbsent("log/c", text("another"))).toEqual({ kind: "created" });
      expect(await current.store.putIfAbsent("log/b", second)).toEqual({ kind: "created" });
      current.store.prepare?.("log/b", first);
      expect(await current.store.putIfAbsent("log/b", first)).toEqual({ kind: "exists" });
      expect(await Promise.all(["log/a", "log/b", "log/c"].map((key) => read(current.other, key)))).toEqual([
        "first",
        "second",
        "another",
      ]);
    });

    test("a listing has the keys below a prefix, at any depth, in order, and no others", async () => {
      const keys = ["log/b", "log/a", "log/10", "log/9", "logs/x", "chunks/2/b", "chunks/2/a", "chunks/10/c"];
      for (const key of keys) await current.store.putIfAbsent(key, text(key));
      expect(await current.other.list("log/")).toEqual(["log/10", "log/9", "log/a", "log/b"]);
      expect(await current.other.list("chunks/")).toEqual(["chunks/10/c", "chunks/2/a", "chunks/2/b"]);
      expect(await current.other.list("chunks/2/")).toEqual(["chunks/2/a", "chunks/2/b"]);
      expect(await current.other.list("nothing/")).toEqual([]);
    });

    test("a listing starts after a key and stops at a limit", async () => {
      for (let index = 0; index < 10; index += 1) await current.store.putIfAbsent(`log/${index}`, text("x"));
      expect(await current.store.list("log/", { after: "log/3", limit: 3 })).toEqual(["log/4", "log/5", "log/6"]);
      expect(await current.store.list("log/", { after: "log/9" })).toEqual([]);
      expect(await current.store.list("log/", { limit: 2 })).toEqual(["log/0", "log/1"]);
      expect(await current.store.list("log/", { after: "log/35", limit: 1 })).toEqual(["log/4"]);
    });

    test("a deleted key is gone and may be created again; deleting what is not there is no error", async () => {
      await current.store.putIfAbsent("chunks/1/a", text("one"));
      await current.other.delete("chunks/1/a");
      expect(await current.store.get("chunks/1/a")).toBeUndefined();
      expect(await current.store.list("chunks/")).toEqual([]);
      await current.store.delete("chunks/1/a");
      await current.store.delete("chunks/9/none");
      expect(await current.store.putIfAbsent("chunks/1/a", text("two"))).toEqual({ kind: "created" });
      expect(await read(current.other, "chunks/1/a")).toBe("two");
    });

    test("a key that could lead out of the vault is a programming error", async () => {
      for (const key of [
        "",
        "../x",
        "log/../../x",
        "/etc/passwd",
        "log//a",
        "log/.hidden",
        "Log/a",
        "log/a b",
        "log/",
        `log/${"a".repeat(200)}`,
      ]) {
        expect(await failureOf(current.store.putIfAbsent(key, text("x")))).toBeInstanceOf(RangeError);
        expect(await failureOf(current.store.get(key))).toBeInstanceOf(RangeError);
        expect(await failureOf(current.store.delete(key))).toBeInstanceOf(RangeError);
      }
      expect(await failureOf(current.store.list("log"))).toBeInstanceOf(RangeError);
    });
  });
}
