import { expect, test } from "bun:test";
import type { SpoolFile } from "../../../src/http/spool/spool-file.ts";
import { spoolBlockBytes, SpooledBody, type SpoolReading } from "../../../src/http/spool/spooled-body.ts";
import { bodyOf } from "../../support/http/spool.ts";
import { waitFor } from "../../support/http/raw-client.ts";

/** A file in memory whose calls can be watched, held up and made to fail. */
class Room {
  readonly memory = { total: 0 };
  hasMemory = true;
  bytesMax = 100 * spoolBlockBytes;
  bytes = 0;
  ends: string[] = [];
  failures: string[] = [];
  closed = 0;
  begun = 0;
  writes = 0;
  flows = 0;
  file = Buffer.alloc(0);
  late: (() => void) | undefined;
  beforeWrite: () => Promise<void> = () => Promise.resolve();
  readonly body: SpooledBody;

  constructor(reserved = 0) {
    this.body = new SpooledBody(this, reserved, () => (this.flows += 1));
  }

  open(): Promise<SpoolFile> {
    return Promise.resolve({
      write: async (bytes, position) => {
        this.begun += 1;
        await this.beforeWrite();
        this.writes += 1;
        const grown = Buffer.alloc(Math.max(this.file.length, position + bytes.length));
        this.file.copy(grown);
        bytes.copy(grown, position);
        this.file = grown;
      },
      read: async (bytes, position) => {
        await Promise.resolve();
        return this.file.copy(bytes, 0, position) === bytes.length;
      },
      close: async () => {
        await Promise.resolve();
        this.closed += 1;
      },
    });
  }

  reserve(bytes: number): boolean {
    if (this.bytes + bytes > this.bytesMax) return false;
    this.bytes += bytes;
    return true;
  }

  free(bytes: number): void {
    this.bytes -= bytes;
  }

  watch(onLate: () => void): { cancel(): void } {
    this.late = onLate;
    return { cancel: () => (this.late = undefined) };
  }

  onWritten(): void {
    // nothing to tell
  }

  onFailed(error: unknown): void {
    this.failures.push(String(error));
  }

  onEnd(end: string): void {
    this.ends.push(end);
  }

  async whenWritten(blocks: number): Promise<void> {
    await waitFor(() => this.writes >= blocks && !this.body.isCongested);
  }
}

async function readAll(reading: SpoolReading): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let part = await reading.next(); part !== undefined; part = await reading.next()) parts.push(part);
  return Buffer.concat(parts);
}

const diskFull = (): Promise<void> => Promise.reject(new Error("ENOSPC: no space left on device, write"));

test("what was appended in pieces of any length is read back, from the file and from memory, as often as needed", async () => {
  const room = new Room();
  const content = bodyOf(5 * spoolBlockBytes + 777);
  let at = 0;
  for (const length of [1, spoolBlockBytes - 2, 3, 2 * spoolBlockBytes, 60_000, content.length]) {
    room.body.append(content.subarray(at, at + length));
    at += length;
    await room.whenWritten(Math.floor(Math.min(at, content.length) / spoolBlockBytes));
    expect((await readAll(room.body.read())).equals(content.subarray(0, at))).toBe(true);
  }
  expect(room.body.size).toBe(content.length);
  expect(room.memory.total).toBe(spoolBlockBytes);
  room.body.closeReading();
  room.body.release();
  await waitFor(() => room.closed === 1);
  expect([room.memory.total, room.bytes, ...room.ends]).toEqual([0, 0, "kept"]);
});

test("a reader that has come to the end continues with what arrives after that", async () => {
  const room = new Room();
  const content = bodyOf(3 * spoolBlockBytes);
  room.body.append(content.subarray(0, 100_000));
  const reading = room.body.read();
  const first = await readAll(reading);
  room.body.append(content.subarray(100_000));
  await room.whenWritten(3);
  expect(Buffer.concat([first, await readAll(reading)]).equals(content)).toBe(true);
});

test.each([
  [
    "a block that changed on the disk is not used",
    (room: Room) => room.file.fill(7, spoolBlockBytes, spoolBlockBytes + 5),
  ],
  ["a file that became shorter is not used", (room: Room) => (room.file = room.file.subarray(0, spoolBlockBytes + 5))],
])("%s", async (_name, damage) => {
  const room = new Room();
  const content = bodyOf(3 * spoolBlockBytes);
  room.body.append(content);
  await room.whenWritten(3);
  damage(room);
  const reading = room.body.read();
  expect((await reading.next())?.equals(content.subarray(0, spoolBlockBytes))).toBe(true);
  expect(await Promise.resolve(reading.next()).catch(String)).toContain("Error: its file ");
  expect([room.body.isHeld, ...room.ends]).toEqual([false, "failed"]);
  room.body.closeReading();
  await waitFor(() => room.closed === 1);
  expect([room.memory.total, room.bytes]).toEqual([0, 0]);
});

test("a full disk costs only the copy: what waits for it stays readable, and the body is given up with what follows", async () => {
  const room = new Room();
  const content = bodyOf(5 * spoolBlockBytes);
  room.body.append(content.subarray(0, spoolBlockBytes));
  await room.whenWritten(1);
  room.beforeWrite = diskFull;
  room.body.append(content.subarray(spoolBlockBytes, 2 * spoolBlockBytes));
  await waitFor(() => room.failures.length === 1);
  // Its client need not wait for a disk that takes nothing.
  room.body.append(content.subarray(2 * spoolBlockBytes, 3 * spoolBlockBytes));
  expect([room.body.isHeld, room.body.isCongested]).toEqual([true, false]);
  expect((await readAll(room.body.read())).equals(content.subarray(0, 3 * spoolBlockBytes))).toBe(true);
  room.body.closeReading();
  room.body.append(content.subarray(3 * spoolBlockBytes));
  expect([room.body.isHeld, ...room.ends]).toEqual([false, "failed"]);
  await waitFor(() => room.closed === 1);
  expect([room.memory.total, room.bytes, room.failures.length]).toEqual([0, 0, 1]);
});

test("a reader gets what arrives while it reads, though the disk is full by then", async () => {
  const room = new Room();
  const content = bodyOf(9 * spoolBlockBytes);
  room.body.append(content.subarray(0, 2 * spoolBlockBytes));
  await room.whenWritten(2);
  room.beforeWrite = diskFull;
  const reading = room.body.read();
  const first = await reading.next();
  room.body.append(content.subarray(2 * spoolBlockBytes));
  await waitFor(() => room.failures.length === 1);
  expect(Buffer.concat([first ?? Buffer.alloc(0), await readAll(reading)]).equals(content)).toBe(true);
  expect(room.body.isHeld).toBe(true);
});

test("a client waits for a slow disk, but not for one that hangs", async () => {
  const room = new Room();
  const { promise: held, resolve: finish } = Promise.withResolvers<void>();
  room.beforeWrite = () => held;
  room.body.append(bodyOf(spoolBlockBytes));
  expect(room.body.isCongested).toBe(false);
  room.body.append(bodyOf(spoolBlockBytes));
  await waitFor(() => room.begun === 1);
  expect(room.body.isCongested).toBe(true);
  room.late?.();
  expect([room.body.isCongested, room.body.isHeld, room.flows, room.failures.length]).toEqual([false, true, 1, 1]);
  room.body.append(bodyOf(1));
  expect(room.body.isHeld).toBe(false);
  expect([room.memory.total, room.closed]).toEqual([0, 0]);
  finish();
  await waitFor(() => room.closed === 1);
  expect(room.begun).toBe(1);
});

test("a write that ends lets the client continue", async () => {
  const room = new Room();
  const { promise: held, resolve: finish } = Promise.withResolvers<void>();
  room.beforeWrite = () => held;
  room.body.append(bodyOf(2 * spoolBlockBytes));
  expect([room.body.isCongested, room.flows]).toEqual([true, 0]);
  finish();
  await waitFor(() => room.flows > 0);
  await waitFor(() => room.writes === 2);
  expect([room.body.isCongested, room.late]).toEqual([false, undefined]);
});

test("the room of the file, and that in memory, end what is kept", () => {
  const full = new Room(2 * spoolBlockBytes);
  full.bytesMax = 0;
  full.body.append(bodyOf(2 * spoolBlockBytes));
  expect(full.body.isHeld).toBe(true);
  full.body.append(bodyOf(1));
  expect([full.body.isHeld, full.memory.total, ...full.ends]).toEqual([false, 0, "full"]);
  const small = new Room();
  small.hasMemory = false;
  small.body.append(bodyOf(1));
  expect([small.body.isHeld, ...small.ends]).toEqual([false, "full"]);
});

test("nothing is written beyond the room that is reserved", async () => {
  const room = new Room();
  room.bytesMax = spoolBlockBytes;
  room.body.append(bodyOf(2 * spoolBlockBytes));
  await room.whenWritten(1);
  expect([room.file.length, room.body.isHeld]).toEqual([spoolBlockBytes, true]);
});

test("what is no longer needed while it is read is read to its end, and freed then", async () => {
  const room = new Room();
  const content = bodyOf(4 * spoolBlockBytes + 9);
  room.body.append(content.subarray(0, 3 * spoolBlockBytes));
  await room.whenWritten(3);
  const reading = room.body.read();
  const first = await reading.next();
  room.body.release();
  room.body.append(content.subarray(3 * spoolBlockBytes));
  expect(Buffer.concat([first ?? Buffer.alloc(0), await readAll(reading)]).equals(content)).toBe(true);
  expect(room.closed).toBe(0);
  room.body.closeReading();
  await waitFor(() => room.closed === 1);
  expect([reading.isOver, room.memory.total, room.bytes, ...room.ends]).toEqual([true, 0, 0, "kept"]);
});

test("another reader ends the one before", async () => {
  const room = new Room();
  room.body.append(bodyOf(spoolBlockBytes + 1));
  const [first, second] = [room.body.read(), room.body.read()];
  expect([first.isOver, second.isOver]).toEqual([true, false]);
  expect((await readAll(second)).length).toBe(spoolBlockBytes + 1);
});
