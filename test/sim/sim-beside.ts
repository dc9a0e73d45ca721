/**
 * The files beside the database of a simulated host: the real capture and the real replica, over the simulated file
 * system and its notifications, joined with the simulated database as in a real host.
 */
import { FileCapture, type FilesBegin } from "../../src/capture/files/file-capture.ts";
import type { KernelEvents } from "../../src/capture/files/file-events.ts";
import { KeptEvents } from "../../src/capture/files/kept-events.ts";
import type { FetchPiece } from "../../src/capture/files/files-snapshot.ts";
import { type SourceOfDatabases, SourceWithFiles } from "../../src/capture/files/source-with-files.ts";
import { ReplicaError } from "../../src/capture/replica-error.ts";
import type { FileMatcher } from "../../src/core/files/file-pattern.ts";
import type { Flush } from "../../src/core/flush.ts";
import type { Rules } from "../../src/core/rules.ts";
import type { JournaledFiles } from "../../src/host/secondary/files/file-replica.ts";
import type { KnownPieces } from "../../src/host/secondary/files/local-pieces.ts";
import { ReplicaWithFiles } from "../../src/host/secondary/files/replica-with-files.ts";
import { PieceReader } from "../../src/vault/checkpoint/piece-reader.ts";
import type { Log } from "../../src/vault/log/log.ts";
import type { Store } from "../../src/vault/store/store.ts";
import type { SimFileOptions } from "./options.ts";
import type { SimReplica, SimSource } from "./sim-capture.ts";
import { dataFolder, previousFolder } from "./sim-files.ts";
import { SimInotify } from "./sim-inotify.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface BesideParts {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly options: SimFileOptions;
  readonly matcher: FileMatcher;
  readonly rules: Rules;
  readonly store: Store;
  readonly log: Log;
  readonly known: KnownPieces;
  readonly onWarning: (text: string) => void;
  /** Files that differ from those of the primary. */
  readonly onDiverged: (what: string) => void;
}

const user = { kind: "host" } as const;
const bounds = { filesMax: 100_000, bytesMax: 2 ** 40, fileBytesMax: 2 ** 30, bytesPerSecondMax: 2 ** 40 };
const patienceMs = 10_000;

export class SimBeside {
  readonly #parts: BesideParts;
  readonly #kept: KeptEvents;

  constructor(parts: BesideParts) {
    this.#parts = parts;
    this.#kept = new KeptEvents(dataFolder, this.#openKernel);
  }

  async openReplica(databases: SimReplica): Promise<ReplicaWithFiles> {
    const { machine, matcher, rules, known } = this.#parts;
    await this.#kept.begin();
    const files = { root: dataFolder, matcher, user, previousFolder, known, kept: this.#kept, rules };
    return new WatchedReplica(
      databases,
      { ...files, fetch: this.#fetch(), fs: machine.disk.files.fs.calls },
      this.#parts.onDiverged,
    );
  }

  /** `isBootstrap`: the first checkpoint of the vault is made of what is here. */
  async openSource(
    source: SimSource,
    journaled: JournaledFiles | undefined,
    isBootstrap: boolean,
  ): Promise<SourceWithFiles> {
    const { machine, process, options, matcher, rules, onWarning } = this.#parts;
    const capture = await FileCapture.open({
      ...{ root: dataFolder, matcher, user, bounds, over: "refuse", patienceMs, rules, onWarning },
      begin: isBootstrap ? { kind: "bootstrap" } : this.#beginOf(journaled),
      clock: process.clock,
      fetch: this.#fetch(),
      fs: machine.disk.files.fs.calls,
      openKernel: this.#openKernel,
      inlineBytesMax: options.inlineBytesMax,
    });
    return new SourceWithFiles(databasesOf(source), capture, { kind: "before-answer" }, () => process.clock.now());
  }

  #beginOf(journaled: JournaledFiles | undefined): FilesBegin {
    return journaled === undefined
      ? { kind: "unjournaled" }
      : { kind: "journaled", ...journaled, events: this.#kept.take() };
  }

  readonly #openKernel = (): Promise<KernelEvents> => {
    const { machine, process, options } = this.#parts;
    return Promise.resolve(new SimInotify(machine.disk.files.fs, process, options.eventsMax));
  };

  #fetch(): FetchPiece {
    const { store, log } = this.#parts;
    const pieces = new PieceReader({ store, log });
    return (wanted) => pieces.read(wanted);
  }
}

/** Looks at its files that seldom: each costs as much as all the rest of a look at the log. */
const looksEvery = 16;

class WatchedReplica extends ReplicaWithFiles {
  readonly #onDiverged: (what: string) => void;
  #looks = 0;

  constructor(
    databases: SimReplica,
    files: ConstructorParameters<typeof ReplicaWithFiles>[1],
    onDiverged: (what: string) => void,
  ) {
    super(databases, files);
    this.#onDiverged = onDiverged;
  }

  override async apply(flush: Flush): Promise<void> {
    try {
      await super.apply(flush);
    } catch (error) {
      if (error instanceof ReplicaError)
        this.#onDiverged(`a flush whose files are not those of the primary: ${error.message}`);
      throw error;
    }
  }

  override look(): void {
    this.#looks += 1;
    if (this.#looks % looksEvery === 0) super.look();
  }
}

/** A simulated database is never left out, locked or suspicious. */
const databasesOf = (source: SimSource): SourceOfDatabases =>
  ({
    isAhead: source.isAhead,
    collect: (beside: Parameters<SimSource["collect"]>[0]) => source.collect(beside),
    beginSnapshot: (beside: Parameters<SimSource["beginSnapshot"]>[0]) => source.beginSnapshot(beside),
    tick: () => source.tick(),
    close: () => source.close(),
    uncaptured: () => [],
    stageAhead: () => undefined,
    isSuspicious: () => false,
    unfinished: () => [],
    names: () => [],
    leftOut: () => [],
    writeLocks: () => ({ count: 0, totalMs: 0, maxMs: 0 }),
    checksums: () => new Map(),
    longLogs: undefined,
  }) as unknown as SourceOfDatabases;
