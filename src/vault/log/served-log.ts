/** The log that a store keeps itself (`Store.log`): a vault server's, as its hosts use it. */
import type { EpochRecord, Position } from "../record.ts";
import { padPosition } from "../keys.ts";
import type { LogService } from "../store/log-service.ts";
import type { PutOutcome } from "../store/store.ts";
import { isEpoch, type Log, type Removed, type RemoveOptions } from "./log.ts";
import { decodeRecord, serviceTagOf } from "./record-codec.ts";

export class ServedLog implements Log {
  readonly serviceTag: Uint8Array;
  readonly #log: LogService;

  constructor(log: LogService, service: string) {
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
    signal?.throwIfAborted();
    const found = await this.#log.newestEpoch();
    if (found === undefined) return undefined;
    const record = decodeRecord(this.serviceTag, found.position, found.bytes);
    return isEpoch(record) ? record : undefined;
  }

  decideEnd(): Promise<boolean> {
    return this.#log.decideEnd();
  }

  isEmpty(): Promise<boolean> {
    return this.#log.isEmpty();
  }
}
