import { expect, test } from "bun:test";
import { CallThread } from "../../src/runtime/call-thread.ts";

const name = "the thread that counts";

test("answers calls in their order, and hands memory over in both directions", async () => {
  const code = "(bytes) => { bytes[0] += 1; return { result: bytes, handedOver: [bytes.buffer] }; }";
  const thread = new CallThread<Uint8Array, Uint8Array>(name, code);
  const given = [new Uint8Array([1, 9]), new Uint8Array([5, 9])];
  const answers = await Promise.all(given.map((bytes) => thread.call(bytes, [bytes.buffer])));
  expect(answers.map((bytes) => [...bytes])).toEqual([
    [2, 9],
    [6, 9],
  ]);
  expect(given.map(({ byteLength }) => byteLength)).toEqual([0, 0]);
  await thread.close();
});

test("a call whose code throws is rejected with its message, and the next one is answered", async () => {
  const code = '(number) => { if (number < 0) throw new RangeError("below zero"); return { result: number * 2 }; }';
  const thread = new CallThread<number, number>(name, code);
  await expect(thread.call(-1)).rejects.toThrow("below zero");
  expect(await thread.call(4)).toBe(8);
  await thread.close();
});

test("a thread that ends rejects what waits for it, and the next call has another one", async () => {
  const code = "(number) => { if (number < 0) process.exit(); return { result: number }; }";
  const thread = new CallThread<number, number>(name, code);
  await expect(thread.call(-1)).rejects.toThrow(`${name} has ended`);
  expect(await thread.call(1)).toBe(1);
  await thread.close();
});

test("is closed with calls in progress, which are rejected, or once there are none", async () => {
  const code = "(number) => ({ result: number })";
  const thread = new CallThread<number, number>(name, code);
  const first = thread.call(1);
  first.catch(() => undefined);
  await thread.close();
  await expect(first).rejects.toThrow(`${name} was closed`);
  const second = thread.call(2);
  let isAnswered = false;
  second.then(() => (isAnswered = true)).catch(() => undefined);
  await thread.settled();
  expect(isAnswered).toBe(true);
  await thread.close();
});
