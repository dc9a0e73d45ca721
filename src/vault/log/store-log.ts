/**
 * The log as objects of a store: each record is one object, created exclusively under its position. It needs nothing
 * but exclusive creation.
 */
import type { StagedBytes } from "../../core/delta.ts";
import { CorruptRecordError, isVaultError, StrangeObjectError, UnknownFormatError } from "../errors.ts";
import { recordBytesMax } from "../limits.ts";
import type { EpochRecord, LogRecord, Position } from "../record.ts";
import { deleteAll } from "../store/delete-all.ts";
import type { PutOutcome, StagedPut, Store } from "../store/store.ts";
import type { VaultKeys } from "../store/vault-keys.ts";
import { Boundary } from "./boundary.ts";
import { isEpoch, type Log, readRecord, type Removed, type RemoveOptions } from "./log.ts";
import { boundaryPrefix, logKey, logPrefix, positionsOf } from "./log-key.ts";
import { serviceTagOf } from "./record-codec.ts";

export class StoreLog implements Log {
  readonly serviceTag: Uint8Array;
  /** The store may have them in a request that is still on its way. */
  readonly reusableBytesMax = 0;
  readonly keys: VaultKeys | undefined;
  readonly #store: Store;
  readonly #boundary: Boundary;

  constructor(store: Store, service: string, keys?: VaultKeys) {
    this.keys = keys;
    this.#store = store;
    this.#boundary = new Boundary(store);
    this.serviceTag = serviceTagOf(service);
  }

  nameOf(position: Position): string {
    return logKey(position);
  }

  put(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    return this.#store.putIfAbsent(logKey(position), bytes);
  }

  prepare(position: Position, bytes: Uint8Array, ahead?: StagedPut): void {
    this.#store.prepare(logKey(position), bytes, ahead);
  }

  stage(bytes: Uint8Array): Promise<StagedBytes | undefined> {
    return this.#store.stage(bytes);
  }

  async get(position: Position): Promise<Uint8Array | undefined> {
    const key = logKey(position);
    try {
      return await this.#store.get(key, recordBytesMax);
    } catch (error) {
      throw error instanceof StrangeObjectError
        ? new CorruptRecordError(position, key, error.what, error.accepted)
        : error;
    }
  }

  async positions(after: Position = 0): Promise<Position[]> {
    return positionsOf(logPrefix, await this.#store.list(logPrefix, { after: logKey(after) }));
  }

  async strangeNames(): Promise<string[]> {
    return (await this.#store.list(logPrefix)).filter((key) => (positionsOf(logPrefix, [key])[0] ?? 0) === 0);
  }

  boundary(): Promise<Position> {
    return this.#boundary.read();
  }

  /** Says that nothing up to this position is needed, and that it may be missing; durable when it resolves. */
  raiseBoundary(position: Position): Promise<void> {
    return this.#boundary.raise(position);
  }

  async removeUpTo(
    boundary: Position,
    { noEpochAfter = Infinity, dryRun = false, signal }: RemoveOptions = {},
  ): Promise<Removed> {
    const found = (await this.positions()).filter((position) => position <= boundary);
    const names: string[] = [];
    for (const position of found) {
      signal?.throwIfAborted();
      if (position > noEpochAfter || (await this.#isRemovable(position))) names.push(logKey(position));
    }
    if (!dryRun && names.length > 0) {
      await this.#boundary.raise(boundary);
      await deleteAll(this.#store, names, signal);
    }
    return { names, kept: found.length - names.length };
  }

  async newestEpoch(signal?: AbortSignal): Promise<EpochRecord | undefined> {
    for (const position of (await this.positions()).toReversed()) {
      signal?.throwIfAborted();
      const record = await readRecord(this, position).catch(onlyUnreadable);
      if (isEpoch(record)) return record;
    }
    return undefined;
  }

  /** A record that exists is found. */
  decideEnd(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async isEmpty(): Promise<boolean> {
    for (const prefix of [logPrefix, boundaryPrefix])
      if ((await this.#store.list(prefix, { limit: 1 })).length > 0) return false;
    return true;
  }

  /** Returns false also if the record is already gone. */
  async #isRemovable(position: Position): Promise<boolean> {
    let record: LogRecord | undefined;
    try {
      record = await readRecord(this, position);
    } catch (error) {
      if (error instanceof CorruptRecordError || error instanceof UnknownFormatError) return false;
      throw error;
    }
    return record !== undefined && !isEpoch(record);
  }
}

function onlyUnreadable(error: unknown): undefined {
  if (!isVaultError(error)) throw error;
}
