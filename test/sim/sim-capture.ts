/**
 * The simulated side of src/capture: the same ports (`CaptureSource`, `HostReplica`) over a `SimDatabase` on the
 * machine's disk. Like the real ones they prove the whole-database checksum before anything is written.
 */
import { lostContinuity } from "../../src/capture/capture-error.ts";
import { sameChecksum, type PageHashes } from "../../src/capture/page-hashes.ts";
import type { DatabaseChecksum } from "../../src/core/delta.ts";
import type { Flush } from "../../src/core/flush.ts";
import type { HostReplica } from "../../src/host/secondary/secondary.ts";
import type { CaptureBatch, CaptureSnapshot, CaptureSource } from "../../src/host/ports/ports.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { databaseName, SimDatabase } from "./sim-database.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface CaptureOptions {
  readonly pageSize: number;
  readonly keys: number;
  /** Pages of one part of a flush: small, so that flushes of several parts are common. */
  readonly pagesPerPart: number;
  readonly diskMs: number;
}

export interface CapturePorts {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly options: CaptureOptions;
  /** A replica whose pages do not have the checksum that the primary had. */
  readonly onDiverged: (what: string) => void;
}

export class SimReplica implements HostReplica {
  readonly #ports: CapturePorts;
  #isClosed = false;
  #isApplying = false;

  constructor(ports: CapturePorts) {
    this.#ports = ports;
  }

  async load(database: Parameters<HostReplica["load"]>[0]): Promise<void> {
    const { machine, process, options } = this.#ports;
    const pieces: Uint8Array[] = [];
    for await (const chunk of database.chunks) pieces.push(chunk);
    const made = new SimDatabase(options.pageSize, options.keys);
    machine.disk.database = made;
    await process.answer(options.diskMs, "load", () => made.fill(Buffer.concat(pieces), database.pageCount));
    if (!sameChecksum(made.hashes.checksum(), database.checksum)) {
      this.#ports.onDiverged("a checkpoint that does not have its checksum");
      throw new Error("checkpoint and checksum differ");
    }
  }

  async apply({ deltas }: Flush): Promise<void> {
    const { machine, process, options } = this.#ports;
    this.#isApplying = true;
    await process.answer(options.diskMs, "apply", () => {
      this.#isApplying = false;
      if (this.#isClosed) this.#ports.onDiverged("a flush for files that are another follower's by now");
      const database = (machine.disk.database ??= new SimDatabase(options.pageSize, options.keys));
      for (const delta of deltas) database.apply(delta);
      const wanted = deltas.at(-1)?.checksum;
      if (wanted === undefined || sameChecksum(database.hashes.checksum(), wanted)) return;
      this.#ports.onDiverged("a flush that does not give the checksum of the primary");
      throw new Error("database and checksum differ");
    });
  }

  checksums(): ReadonlyMap<string, DatabaseChecksum> {
    const database = this.#ports.machine.disk.database;
    return new Map(database === undefined ? [] : [[databaseName, database.hashes.checksum()]]);
  }

  handOver(): ReadonlyMap<string, PageHashes> {
    if (this.#isApplying) this.#ports.onDiverged("the databases are handed over in the middle of a flush");
    const database = this.#ports.machine.disk.database;
    return new Map(database === undefined ? [] : [[databaseName, database.hashes]]);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#ports.process.answer(0, "close", () => undefined);
  }
}

export class SimSource implements CaptureSource {
  readonly #ports: CapturePorts;
  #isLost = false;

  constructor(ports: CapturePorts) {
    this.#ports = ports;
  }

  /** Something else truncated the WAL: the fault that capture must notice. */
  loseContinuity(): void {
    this.#isLost = true;
  }

  isAhead(): boolean {
    if (this.#isLost) throw lostContinuity(databaseName, "another salt", "the salt that was captured");
    return this.#database?.isDirty ?? false;
  }

  async collect(): Promise<CaptureBatch | undefined> {
    const { process, options } = this.#ports;
    // The cut is somewhere in a collection: what is committed behind it is not in its batch.
    const batch = await process.answer(options.diskMs / 2, "collect", () => this.#take());
    await process.answer(options.diskMs / 2, "collected", () => undefined);
    return batch;
  }

  tick(): Promise<void> {
    return Promise.resolve();
  }

  beginSnapshot(): Promise<{ batch: CaptureBatch | undefined; snapshot: CaptureSnapshot }> {
    const { process, options } = this.#ports;
    return process.answer(options.diskMs, "seal", () => {
      const batch = this.#take();
      const database = this.#database;
      if (database === undefined) return { batch, snapshot: { databases: [], release: () => Promise.resolve() } };
      const bytes = Buffer.concat(database.pages);
      const sealed = {
        name: databaseName,
        pageSize: database.pageSize,
        pageCount: database.pageCount,
        checksum: database.hashes.checksum(),
      };
      const read = (offset: number, length: number): Promise<Uint8Array> =>
        process.answer(options.diskMs, "read", () => bytes.subarray(offset, offset + length));
      return { batch, snapshot: { databases: [{ ...sealed, read }], release: () => Promise.resolve() } };
    });
  }

  close(): Promise<void> {
    return this.#ports.process.answer(0, "close", () => undefined);
  }

  get #database(): SimDatabase | undefined {
    return this.#ports.machine.disk.database;
  }

  #take(): CaptureBatch | undefined {
    const database = this.#database;
    if (database?.isDirty !== true) return undefined;
    const parts = database.takeDirty(this.#ports.options.pagesPerPart);
    const bytes = parts.reduce((sum, part) => sum + part.pages.length * part.pageSize, 0);
    return { bytes, partCount: parts.length, parts: () => parts.map((part) => [part]), done: () => undefined };
  }
}
