/** A capture source that commits when the test says so. */
import type { CaptureBatch, CaptureSnapshot, CaptureSource } from "../../../src/host/ports/ports.ts";

export class FakeSource implements CaptureSource {
  committed = 0;
  collected = 0;
  durable = 0;
  ticks = 0;
  seals = 0;
  /** Names of databases that cannot be captured now. */
  left: string[] = [];
  /** Begun ones. */
  collections = 0;
  /** A collection takes until this resolves. */
  collecting: Promise<void> = Promise.resolve();
  /** Something moved that no index shows. */
  suspicion = false;
  /** In a log, and not in its index. */
  unsettled: { isSettled: boolean }[] = [];
  #failure: Error | undefined;

  commit(): void {
    this.committed += 1;
  }

  fail(error: Error): void {
    this.#failure = error;
  }

  isAhead(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.committed > this.collected || this.left.length > 0;
  }

  isSuspicious(): boolean {
    return this.suspicion;
  }

  unfinished(): { isSettled: boolean }[] {
    return this.unsettled.filter(({ isSettled }) => !isSettled);
  }

  async collect(): Promise<CaptureBatch | undefined> {
    this.collections += 1;
    await this.collecting;
    return this.#take();
  }

  /** A snapshot lacks what the log has. */
  leavesOut = false;

  uncaptured(): { name: string; reason: string; sinceMs: number }[] {
    return this.left.map((name) => ({ name, reason: "a test", sinceMs: 0 }));
  }

  tick(): Promise<void> {
    this.ticks += 1;
    return Promise.resolve();
  }

  beginSnapshot(): Promise<{ batch: CaptureBatch | undefined; snapshot: CaptureSnapshot }> {
    this.seals += 1;
    return Promise.resolve({
      batch: this.#take(),
      snapshot: { databases: [], leavesOut: this.leavesOut, release: () => Promise.resolve() },
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #take(): CaptureBatch | undefined {
    if (this.committed === this.collected) return undefined;
    const upTo = this.committed;
    this.collected = upTo;
    const content = Buffer.alloc(512, upTo);
    const delta = {
      name: "a.db",
      pageSize: 512,
      pageCount: 1,
      checksum: Buffer.alloc(16, upTo),
      pages: [{ number: 1, content }],
    };
    return { bytes: 512, partCount: 1, parts: () => [[delta]], done: () => void (this.durable = upTo) };
  }
}
