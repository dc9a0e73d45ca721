/**
 * The simulated side of src/capture: the same ports (`CaptureSource`, `HostReplica`) over a `SimDatabase` on the
 * machine's disk. Like the real ones they prove the whole-database checksum before anything is written. What is beside
 * the database is not simulated: sim-beside.ts.
 */
import { lostContinuity } from "../../src/capture/capture-error.ts";
import { sameChecksum, type PageHashes } from "../../src/capture/page-hashes.ts";
import type { Beside } from "../../src/capture/beside.ts";
import type { DatabaseChecksum, DatabaseDelta } from "../../src/core/delta.ts";
import type { Flush } from "../../src/core/flush.ts";
import type { HostReplica } from "../../src/host/secondary/secondary.ts";
import type { CaptureBatch, CaptureSnapshot, CaptureSource } from "../../src/host/ports/ports.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { databaseName, SimDatabase } from "./sim-database.ts";
import type { SimFileOptions } from "./options.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface CaptureOptions {
  readonly pageSize: number;
  readonly keys: number;
  /** Pages of one part of a flush: small, so that flushes of several parts are common. */
  readonly pagesPerPart: number;
  readonly diskMs: number;
  /** Of those beside its database; undefined: the service has none. */
  readonly files: SimFileOptions | undefined;
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
  readonly spool = undefined;
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

  async apply(flush: Flush): Promise<void> {
    const { deltas } = flush;
    const { machine, process, options } = this.#ports;
    this.#isApplying = true;
    await process.answer(options.diskMs, "apply", () => {
      this.#isApplying = false;
      if (this.#isClosed) this.#ports.onDiverged("a flush for files that are another follower's by now");
      const database = (machine.disk.database ??= new SimDatabase(options.pageSize, options.keys));
      for (const delta of deltas) database.apply(delta);
      const wanted = deltas.at(-1)?.checksum;
      if (wanted !== undefined && !sameChecksum(database.hashes.checksum(), wanted)) {
        this.#ports.onDiverged("a flush that does not give the checksum of the primary");
        throw new Error("database and checksum differ");
      }
    });
  }

  checksums(): Map<string, DatabaseChecksum> {
    const database = this.#ports.machine.disk.database;
    return new Map(database === undefined ? [] : [[databaseName, database.hashes.checksum()]]);
  }

  handOver(): ReadonlyMap<string, PageHashes> {
    if (this.#isApplying) this.#ports.onDiverged("the databases are handed over in the middle of a flush");
    const database = this.#ports.machine.disk.database;
    return new Map(database === undefined ? [] : [[databaseName, database.hashes]]);
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#ports.process.answer(0, "close", () => undefined);
  }
}

/** Cuts for one flush, as in src/capture/beside.ts. */
const cutsMax = 64;

/** Everything committed by one instant, and the database as it was then. */
interface Cut {
  readonly parts: readonly DatabaseDelta[];
  readonly sealed: CaptureSnapshot["databases"];
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

  readonly isAhead = (): boolean => {
    if (this.#isLost) throw lostContinuity(databaseName, "another salt", "the salt that was captured");
    return this.#database?.isDirty === true;
  };

  async collect(beside?: Beside): Promise<CaptureBatch | undefined> {
    const { process, options } = this.#ports;
    if (beside !== undefined) return batchOf((await this.#cutWith(beside)).parts);
    // The cut is somewhere in a collection: what is committed behind it is not in its batch.
    const batch = await process.answer(options.diskMs / 2, "collect", () => batchOf(this.#take()));
    await process.answer(options.diskMs / 2, "collected", () => undefined);
    return batch;
  }

  tick(): Promise<void> {
    return Promise.resolve();
  }

  async beginSnapshot(
    beside?: Beside,
  ): Promise<{ batch: CaptureBatch | undefined; snapshot: CaptureSnapshot & { readonly leavesOut: boolean } }> {
    const { process, options } = this.#ports;
    const { parts, sealed } =
      beside === undefined
        ? await process.answer(options.diskMs, "seal", () => this.#cut())
        : await this.#cutWith(beside);
    const snapshot = { databases: sealed, leavesOut: false, release: () => Promise.resolve() };
    return { batch: batchOf(parts), snapshot };
  }

  close(): Promise<void> {
    return this.#ports.process.answer(0, "close", () => undefined);
  }

  get #database(): SimDatabase | undefined {
    return this.#ports.machine.disk.database;
  }

  /** As `Source.collect` does: what is beside it is looked at after the cut, and may ask for a later one. */
  async #cutWith(beside: Beside): Promise<Cut> {
    const { process, options } = this.#ports;
    const step = <T>(label: string, make: () => T): Promise<T> => process.answer(options.diskMs / 4, label, make);
    await step("begin a cut", () => beside.begin());
    let cut = await step("cut", () => this.#cut());
    let { parts } = cut;
    await step("look at files", () => undefined);
    for (let cuts = 1; (await beside.settle(this.isAhead)) === "again" && cuts < cutsMax; cuts++) {
      await step("begin a cut again", () => beside.begin());
      cut = await step("cut again", () => this.#cut());
      parts = this.#overlaid(parts, cut.parts);
    }
    return { parts, sealed: cut.sealed };
  }

  /** Of a page that both have, the later content. */
  #overlaid(parts: readonly DatabaseDelta[], later: readonly DatabaseDelta[]): readonly DatabaseDelta[] {
    const last = later.at(-1);
    if (last === undefined) return parts;
    const pages = new Map(
      [...parts, ...later].flatMap((part) => part.pages.map((page) => [page.number, page] as const)),
    );
    const all = [...pages.values()].sort((a, b) => a.number - b.number);
    const { pagesPerPart } = this.#ports.options;
    return Array.from({ length: Math.ceil(all.length / pagesPerPart) }, (_, part) => {
      return { ...last, pages: all.slice(part * pagesPerPart, (part + 1) * pagesPerPart) };
    });
  }

  #cut(): Cut {
    const parts = this.#take();
    const database = this.#database;
    if (database === undefined) return { parts, sealed: [] };
    const { process, options } = this.#ports;
    const bytes = Buffer.concat(database.pages);
    const sealed = {
      name: databaseName,
      pageSize: database.pageSize,
      pageCount: database.pageCount,
      checksum: database.hashes.checksum(),
    };
    const read = (offset: number, length: number): Promise<Uint8Array> =>
      process.answer(options.diskMs, "read", () => bytes.subarray(offset, offset + length));
    return { parts, sealed: [{ ...sealed, read }] };
  }

  #take(): readonly DatabaseDelta[] {
    return this.#database?.takeDirty(this.#ports.options.pagesPerPart) ?? [];
  }
}

function batchOf(parts: readonly DatabaseDelta[]): CaptureBatch | undefined {
  if (parts.length === 0) return undefined;
  const bytes = parts.reduce((sum, part) => sum + part.pages.length * part.pageSize, 0);
  return { bytes, partCount: parts.length, parts: () => parts.map((part) => [part]), done: () => undefined };
}
