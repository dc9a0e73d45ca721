/**
 * The log that a store keeps itself (`Store.log`): a vault server's, as its hosts use it.
 *
 * The vault's keys are here, at the hosts, and the server uses none: to it a record is a position, a kind and bytes. So
 * a host believes no record because the server sent it. Claims and seals are the server's own, they say which server
 * writes the folder; a host never sees them, and what follows from false ones (records that are missing, doubled or in
 * another order) breaks the chain of MACs, or the end of the log that the host knows (remote/known-end.ts).
 */
import type { EpochRecord, Position } from "../record.ts";
import { isVaultError } from "../errors.ts";
import { padPosition } from "../keys.ts";
import type { LogService } from "../store/log-service.ts";
import type { PutOutcome } from "../store/store.ts";
import type { VaultKeys } from "../store/vault-keys.ts";
import { decodeOf, isEpoch, type Log, type Removed, type RemoveOptions } from "./log.ts";
import { serviceTagOf } from "./record-codec.ts";

export class ServedLog implements Log {
  readonly serviceTag: Uint8Array;
  /** A request with them may still be on its way. */
  readonly reusableBytesMax = 0;
  readonly keys: VaultKeys | undefined;
  readonly #log: LogService;

  constructor(log: LogService, service: string, keys?: VaultKeys) {
    this.keys = keys;
    this.#log = log;
    this.serviceTag = serviceTagOf(service);
  }

  nameOf(position: Position): string {
    return `record ${padPosition(position)}`;
  }

  put(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    return this.#log.put(position, bytes);
  }

  /** The server has nothing of a record before it is put. */
  prepare(): void {}

  async stage(): Promise<undefined> {}

  get(position: Position): Promise<Uint8Array | undefined> {
    return this.#log.get(position);
  }

  positions(after: Position = 0): Promise<Position[]> {
    return this.#log.positions(after);
  }

  strangeNames(): Promise<string[]> {
    return this.#log.strangeNames();
  }

  boundary(): Promise<Position> {
    return this.#log.boundary();
  }

  /** A removal that has begun is finished by the server. */
  async removeUpTo(position: Position, { noEpochAfter, dryRun, signal }: RemoveOptions = {}): Promise<Removed> {
    signal?.throwIfAborted();
    return this.#log.removeUpTo(position, { noEpochAfter, dryRun });
  }

  async newestEpoch(signal?: AbortSignal): Promise<EpochRecord | undefined> {
    for (let before: Position | undefined; ; ) {
      signal?.throwIfAborted();
      const found = await this.#log.newestClaim(before);
      if (found === undefined) return undefined;
      try {
        const record = await decodeOf(this, found.position, found.bytes);
        if (isEpoch(record)) return record;
      } catch (error) {
        if (!isVaultError(error)) throw error;
      }
      before = found.position;
    }
  }

  decideEnd(): Promise<boolean> {
    return this.#log.decideEnd();
  }

  isEmpty(): Promise<boolean> {
    return this.#log.isEmpty();
  }
}
