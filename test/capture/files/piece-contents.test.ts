import { describe, expect, test } from "bun:test";
import { inlineBytesMax, PieceContents } from "../../../src/capture/files/piece-contents.ts";
import type { ChangePiece } from "../../../src/core/files/file-change.ts";
import { newDeferred, type Deferred } from "../../../src/runtime/deferred.ts";

/** A vault in which a chunk takes as long as the test says. */
class Chunks {
  readonly asked: Uint8Array[] = [];
  readonly #waiting: Deferred[] = [];

  readonly store = async (bytes: Uint8Array): Promise<string> => {
    const nth = this.asked.push(bytes);
    const waiting = newDeferred();
    this.#waiting.push(waiting);
    await waiting.promise;
    return `chunk ${nth}`;
  };

  end(error?: Error): void {
    const next = this.#waiting.shift();
    if (error === undefined) next?.resolve();
    else next?.reject(error);
  }
}

const large = new Uint8Array(inlineBytesMax);
const small = Uint8Array.of(1);
const isSettled = async (promise: Promise<unknown>): Promise<boolean> => {
  let isDone = false;
  promise.then(
    () => (isDone = true),
    () => (isDone = true),
  );
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  return isDone;
};

describe("contents of a flush", () => {
  test("are in its records as long as they fit, and in chunks otherwise, each at its index", async () => {
    const chunks = new Chunks();
    const contents = new PieceContents(chunks.store);
    const pieces: ChangePiece[] = [];
    await contents.add(pieces, 0, "a", large);
    await contents.add(pieces, 1, "b", small);
    const stored = contents.stored();
    expect(await isSettled(stored)).toBe(false);
    chunks.end();
    await stored;
    expect(pieces.map(({ hash, source }) => [hash, source.kind])).toEqual([
      ["a", "inline"],
      ["b", "chunk"],
    ]);
    expect(pieces[1]?.source).toEqual({ kind: "chunk", key: "chunk 1" });
    expect(chunks.asked).toEqual([small]);
  });

  test("have the room of those that are not put after all, and all of it in the next flush", async () => {
    const contents = new PieceContents(() => Promise.reject(new Error("no chunk was expected")));
    const pieces: ChangePiece[] = [];
    await contents.add(pieces, 0, "a", large);
    contents.forget(pieces);
    await contents.add(pieces, 0, "a", large);
    contents.begin();
    await contents.add(pieces, 0, "a", large);
    await contents.stored();
    expect(pieces[0]?.source.kind).toBe("inline");
  });

  test("are put four at a time", async () => {
    const chunks = new Chunks();
    const contents = new PieceContents(chunks.store);
    const pieces: ChangePiece[] = [];
    await contents.add(pieces, 0, "a", large);
    for (let index = 1; index < 4; index++) await contents.add(pieces, index, "b", small);
    const fourth = contents.add(pieces, 4, "c", small);
    expect([chunks.asked.length, await isSettled(fourth)]).toEqual([4, false]);
    chunks.end();
    await fourth;
    for (let left = 0; left < 3; left++) chunks.end();
    await contents.stored();
    expect(pieces.map(({ source }) => source.kind)).toEqual(["inline", "chunk", "chunk", "chunk", "chunk"]);
  });

  test("fail as a whole with the first that could not be stored", async () => {
    const chunks = new Chunks();
    const contents = new PieceContents(chunks.store);
    const pieces: ChangePiece[] = [];
    await contents.add(pieces, 0, "a", large);
    await contents.add(pieces, 1, "b", small);
    await contents.add(pieces, 2, "c", small);
    chunks.end(new Error("the term is over"));
    chunks.end(new Error("later"));
    await expect(contents.stored()).rejects.toThrow("the term is over");
  });
});
