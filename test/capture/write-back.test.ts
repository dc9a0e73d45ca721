import { expect, test } from "bun:test";
import { WriteBack } from "../../src/capture/write-back.ts";

const mib = 2 ** 20;

/** Syncs that end when the test says so. */
class Syncs {
  readonly #ends: ((failure?: Error) => void)[] = [];
  begun = 0;

  readonly run = (): Promise<void> => {
    this.begun += 1;
    return new Promise((resolve, reject) => {
      this.#ends.push((failure) => (failure === undefined ? resolve() : reject(failure)));
    });
  };

  end(failure?: Error): void {
    this.#ends.shift()?.(failure);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("a sync begins after 64 MiB, and the next one once it is over and as much was written again", async () => {
  const syncs = new Syncs();
  const writeBack = new WriteBack(syncs.run);
  writeBack.wrote(63 * mib);
  expect(syncs.begun).toBe(0);
  writeBack.wrote(mib);
  expect(syncs.begun).toBe(1);
  writeBack.wrote(70 * mib);
  expect(syncs.begun).toBe(1);
  syncs.end();
  await writeBack.settled();
  writeBack.wrote(1);
  expect(syncs.begun).toBe(2);
});

test("a sync at the end waits for the one in progress, and syncs the rest", async () => {
  const syncs = new Syncs();
  const writeBack = new WriteBack(syncs.run);
  writeBack.wrote(64 * mib);
  let isOver = false;
  const end = writeBack.sync().then(() => (isOver = true));
  await turn();
  expect([syncs.begun, isOver]).toEqual([1, false]);
  syncs.end();
  await turn();
  expect([syncs.begun, isOver]).toEqual([2, false]);
  syncs.end();
  await end;
});

test("a sync that failed is not forgotten, and none is tried after it", async () => {
  const syncs = new Syncs();
  const writeBack = new WriteBack(syncs.run);
  writeBack.wrote(64 * mib);
  syncs.end(new Error("EIO: pages are lost"));
  await writeBack.settled();
  await expect(writeBack.sync()).rejects.toThrow("pages are lost");
  expect(syncs.begun).toBe(1);
});

test("the last sync may fail too", async () => {
  const syncs = new Syncs();
  const writeBack = new WriteBack(syncs.run);
  const end = writeBack.sync();
  end.catch(() => undefined);
  await turn();
  syncs.end(new Error("ENOSPC"));
  await expect(end).rejects.toThrow("ENOSPC");
});
