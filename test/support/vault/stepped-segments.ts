/**
 * A vault with a log in segments whose users meet at any call: each call of a host is announced to it first, and is
 * made when it allows it. A host that dies makes no further call.
 */
import { allRules, type Rules } from "../../../src/core/rules.ts";
import { SegmentLog } from "../../../src/vault/log/segment/segment-log.ts";
import type { SegmentSizes } from "../../../src/vault/log/segment/segment-writer.ts";
import { ForwardingStore, type StoreOperation } from "../../../src/vault/store/forwarding-store.ts";
import { MemorySegments } from "../../../src/vault/store/memory-segments.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import {
  type Append,
  appendInOrder,
  type AppendOutcome,
  type AppendParts,
  type SegmentFiles,
} from "../../../src/vault/store/segment-files.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { JumpingClock, seededRandom, service } from "./log-fixture.ts";

/** "put claims/…", "get seals/…", "list segments/", "read …", "write …", "sync …", "look claims/…", "mark …". */
export type OnCall = (call: string) => Promise<void> | void;

export const forEver = (): Promise<never> => new Promise(() => undefined);

const small: SegmentSizes = { first: 2_048, most: 4_096, recordMost: 8 * 1024 };

export class SteppedVault {
  readonly objects = new MemoryStore();
  readonly segments = new MemorySegments();
  readonly #rules: Rules;

  constructor(rules: Rules = allRules) {
    this.#rules = rules;
  }

  open(onCall: OnCall = () => undefined, seed = 1): SegmentLog {
    const store = new SteppedStore(this.objects, onCall);
    const files = new SteppedFiles(this.segments.of(this.objects) as SegmentFiles & AppendParts, onCall);
    const ports = { clock: new TickingClock(), random: seededRandom(seed), rules: this.#rules };
    return new SegmentLog({ store, files, service, sizes: small, ...ports });
  }

  /** The power fails: marks are never synced. */
  loseMarks(): void {
    this.segments.marks.clear();
  }

  keysOf(prefix: string): Promise<string[]> {
    return this.objects.list(prefix);
  }
}

/** Time passes with each look at it: patience ends. */
class TickingClock extends JumpingClock {
  override now(): number {
    return (this.time += 100);
  }
}

class SteppedStore extends ForwardingStore {
  readonly #onCall: OnCall;

  constructor(inner: Store, onCall: OnCall) {
    super(inner);
    this.#onCall = onCall;
  }

  protected override async perform<T>(operation: StoreOperation, key: string, run: () => Promise<T>): Promise<T> {
    await this.#onCall(`${operation} ${key}`);
    return run();
  }
}

class SteppedFiles implements SegmentFiles, AppendParts {
  readonly #inner: SegmentFiles & AppendParts;
  readonly #onCall: OnCall;

  constructor(inner: SegmentFiles & AppendParts, onCall: OnCall) {
    [this.#inner, this.#onCall] = [inner, onCall];
  }

  async create(key: string, bytes: number): Promise<void> {
    await this.#onCall(`create ${key}`);
    await this.#inner.create(key, bytes);
  }

  prepare(bytes: number): void {
    this.#inner.prepare(bytes);
  }

  async read(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    await this.#onCall(`read ${key}`);
    return this.#inner.read(key, offset, length);
  }

  append(append: Append): Promise<AppendOutcome> {
    return appendInOrder(this, append);
  }

  async write(append: Append): Promise<void> {
    await this.#onCall(`write ${append.key}`);
    await this.#inner.write(append);
  }

  async sync(key: string): Promise<void> {
    await this.#onCall(`sync ${key}`);
    await this.#inner.sync(key);
  }

  async exists(key: string): Promise<boolean> {
    await this.#onCall(`look ${key}`);
    return this.#inner.exists(key);
  }

  async mark(key: string, position: number): Promise<void> {
    await this.#onCall(`mark ${key}`);
    await this.#inner.mark(key, position);
  }

  async readMark(key: string): Promise<number | undefined> {
    await this.#onCall(`read ${key}`);
    return this.#inner.readMark(key);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
