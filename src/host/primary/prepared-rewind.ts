/**
 * A rewind: an earlier state of the service, restored into a folder of its own, becomes its state again by one flush.
 *
 * The flush has the pages and files in which the state at the end of the log differs from the earlier one. For the log
 * it is a flush like any other: it is there whole or not at all, the next claim drops one that its primary did not
 * finish, secondaries apply it and prove that they have exactly the earlier state then, and a restore to any moment
 * before or after it works as ever. No record is removed by it, so a rewind can be rewound as long as retention keeps
 * the log.
 *
 * Why the flush is exact: `LogSince` proves each flush after the earlier state on the hashes of its pages, so its
 * hashes at the end are those of the log; those of the earlier state are proven by the same checksums. Pages that
 * differ are the whole difference. The flush is made in the journal's loop, after the last flush of the term and when
 * the application is gone, so nothing comes between the end that was read and the flush (journal.ts).
 *
 * How one would break it: making it from the databases of the primary, which a process that escaped may have changed;
 * making it before the last flush; restoring into the data folder, where a crash leaves half a state. Attacked in
 * test/host/primary/prepared-rewind.test.ts: "is exact whatever happened since".
 */
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { RewindPlan } from "../../control/rewind-api.ts";
import type { StorePiece } from "../../capture/files/piece-contents.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import type { Section } from "../../core/flush.ts";
import type { Clock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { Position } from "../../vault/record.ts";
import { rewoundSection, type Rewound } from "../../vault/log/rewound-section.ts";
import type { CaptureBatch } from "../ports/ports.ts";
import { LogSince, type StateBefore } from "../secondary/log-since.ts";
import { openStateAt, spoolFolderOf, type StateAtOptions } from "../secondary/state-at.ts";
import { rewindFiles } from "./rewind-files.ts";
import { RewindPages } from "./rewind-pages.ts";
import { planOf } from "./rewind-plan.ts";

/** The flush of a rewind. */
export interface RewindFlush {
  readonly batch: CaptureBatch;
  readonly section: Section;
  readonly rewound: Rewound;
}

export interface PrepareOptions extends StateAtOptions {
  readonly clock: Clock;
  /** Of its own; what is in it is removed. */
  readonly folder: string;
  readonly keptForMs: number;
  /** Returns why no host could become primary with databases and files of these names; undefined: they could. */
  readonly obstacleTo: (databases: Iterable<string>, files: FileTree | undefined) => string | undefined;
}

/** The state has what this host's configuration leaves out: hosts with that state would not become primary. */
export class UncoveredStateError extends OperatorError {
  constructor(found: string) {
    super("configuration", {
      found: `the state of then cannot be served by this configuration: ${found}`,
      advice: "correct the configuration of all hosts first, or take what you need with `stead vault restore`",
    });
  }
}

export class PreparedRewind {
  readonly plan: RewindPlan;
  readonly #options: PrepareOptions;
  readonly #state: StateBefore;
  readonly #since: LogSince;

  private constructor(options: PrepareOptions, state: StateBefore, since: LogSince, plan: RewindPlan) {
    this.#options = options;
    this.#state = state;
    this.#since = since;
    this.plan = plan;
  }

  /** Restores the state. Throws what `openStateAt` and `LogSince` throw, and NothingToUndoError. */
  static async prepare(options: PrepareOptions): Promise<PreparedRewind> {
    const { folder, log, clock, signal, keptForMs } = options;
    await removeFolder(folder);
    await mkdir(dirname(folder), { recursive: true });
    try {
      const { replica, start, wallTimeMs } = await openStateAt(folder, options);
      let state: StateBefore;
      try {
        const tree = replica.filesState() === undefined ? undefined : replica.files.copy();
        const obstacle = options.obstacleTo(replica.checksums().keys(), tree);
        if (obstacle !== undefined) throw new UncoveredStateError(obstacle);
        state = { tables: replica.handOver(), tree };
      } finally {
        await replica.close();
      }
      const since = new LogSince(log, start, { wallTimeMs, state });
      await since.read((ms) => clock.sleep(ms, signal), { signal });
      const plan = planOf({ to: { ...start, wallTimeMs }, since, keptForMs });
      return new PreparedRewind(options, state, since, plan);
    } catch (error) {
      await removeFolder(folder);
      throw error;
    }
  }

  /**
   * Returns the flush that makes the state the service's again. `end`: position of the last record of the log.
   * `storePiece`: where contents of files go that do not fit.
   */
  async flush(end: Position, storePiece: StorePiece, signal: AbortSignal): Promise<RewindFlush> {
    const { clock, folder: root } = this.#options;
    const since = this.#since;
    await since.read((ms) => clock.sleep(ms, signal), { atLeast: end, signal });
    const [earlier, later] = [this.#state, since.state];
    const files = await rewindFiles({ root, earlier: earlier.tree, later: later.tree, store: storePiece });
    const batch = new RewindPages({ root, earlier: earlier.tables, later: later.tables, files });
    const { position: to, wallTimeMs: toMs } = this.plan.to;
    const rewound = { to, toMs, undoneTo: since.position, requests: since.requests };
    return { batch, section: rewoundSection(rewound), rewound };
  }

  /** Removes what it has on the disk. */
  close(): Promise<void> {
    return removeFolder(this.#options.folder);
  }
}

async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await rm(spoolFolderOf(folder), { recursive: true, force: true });
}
