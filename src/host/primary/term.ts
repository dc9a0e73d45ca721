/**
 * One term as primary: everything that exists from a claim until the host is no longer primary.
 *
 * The lease is renewed from the first moment (journal), while the databases are opened and the application starts; the
 * front is opened by the host when both the old lease and the start are over. `abort` is the fenced end: nothing is
 * finished, nothing released. `stepDown` is the planned one: everything committed is journaled, then `vacate`.
 */
import type { HostConfig } from "../../config/types.ts";
import type { DemotePhase } from "../../control/host-api.ts";
import type { Rules } from "../../core/rules.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { CheckpointManifest } from "../../vault/checkpoint/checkpoint.ts";
import type { Compression } from "../../vault/checkpoint/chunk-codec.ts";
import type { LogWriter } from "../../vault/log/log-writer.ts";
import type { Store } from "../../vault/store/store.ts";
import { putFileChunk } from "../../vault/checkpoint/file-chunks.ts";
import type { Random } from "../../runtime/random.ts";
import type { StorePiece } from "../../capture/files/piece-contents.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { Rewound } from "../../vault/log/rewound-section.ts";
import type { PreparedRewind, RewindFlush } from "./prepared-rewind.ts";
import { ApplicationError } from "../application/application-error.ts";
import { AskedCheckpoints } from "./asked-checkpoints.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { FrontPort } from "../application/front.ts";
import type { LogSinceCheckpoint } from "../secondary/log-status.ts";
import { Journal } from "./journal.ts";
import type { JournalEnd } from "./journal-end.ts";
import { JournalMeter } from "./journal-meter.ts";
import type { CaptureSource, Written } from "../ports/ports.ts";
import type { SupervisedApplication } from "../application/supervised-application.ts";

/** A rewind that was ordered with the end of the term. */
export interface OrderedRewind {
  readonly prepared: Pick<PreparedRewind, "flush">;
  /** It is in the log. */
  readonly onDone: (position: number, rewound: Rewound) => void;
  /** It could not be made: the state is as it was. */
  readonly onFailed: (reason: string) => void;
}

export interface TermOptions {
  readonly config: HostConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly rules: Rules;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Store;
  readonly front: FrontPort;
  readonly writer: LogWriter;
  /** `wallAheadOf` the clock before the claim. */
  readonly wallAheadMs: number;
  readonly base: CheckpointManifest | undefined;
  readonly sinceCheckpoint: LogSinceCheckpoint;
  readonly compression: Compression | undefined;
  readonly openSource: () => Promise<CaptureSource>;
  readonly application: SupervisedApplication;
  readonly freePort: () => Promise<number>;
  readonly clean: (newest: CheckpointManifest) => Promise<void>;
  readonly onEnd: (end: JournalEnd) => void;
  /** After each record of this term. */
  readonly onRecord: () => void;
  readonly onCheckpoint: (manifest: CheckpointManifest) => void;
  readonly onCheckpointFailed: (reason: string) => void;
  readonly onWarning: (text: string) => void;
}

export class Term {
  readonly epoch: number;
  readonly #options: TermOptions;
  readonly #journal: Journal;
  readonly #meter: JournalMeter;
  readonly #checkpointer: Checkpointer;
  readonly #askedCheckpoints: AskedCheckpoints;
  /** Ends what waits for a vault that does not answer. */
  readonly #aborted = new AbortController();
  #source: CaptureSource | undefined;
  #bytes = 0;

  constructor(options: TermOptions) {
    this.#options = options;
    this.epoch = options.writer.epoch;
    const { config, clock, rules, writer, onEnd } = options;
    this.#meter = new JournalMeter(options.metrics, clock);
    this.#journal = new Journal({
      writer,
      clock,
      rules,
      leaseMs: config.leaseMs,
      durability: config.durability,
      wallAheadMs: options.wallAheadMs,
      handover: options.front.handover,
      onWarning: options.onWarning,
      onEnd,
      onRecord: (record) => {
        options.onRecord();
        this.#bytes += record.bytes;
        this.#meter.onRecord(record);
        this.#checkpointer.onRecord(record);
      },
    });
    this.#checkpointer = new Checkpointer({
      journal: this.#journal,
      store: options.store,
      clock,
      rules,
      log: options.log,
      host: config.id,
      epoch: writer.epoch,
      epochPosition: writer.claimPosition,
      thresholds: config.checkpoint,
      history: () => config.checkpoint.history,
      canBegin: () => this.#source?.longLogs?.canAllStartOver ?? true,
      base: options.base,
      since: options.sinceCheckpoint,
      compression: options.compression,
      clean: options.clean,
      onDone: options.onCheckpoint,
      onFailed: options.onCheckpointFailed,
    });
    this.#askedCheckpoints = new AskedCheckpoints({
      clock,
      intervalMs: config.checkpoint.askedMs,
      begin: () => this.#checkpointer.ask("application"),
    });
  }

  get position(): number {
    return this.#journal.position;
  }

  /** The last record of this term, durable in the vault, and the bytes of all of its records. */
  get written(): Written {
    return { position: this.#journal.position, bytes: this.#bytes };
  }

  get application(): SupervisedApplication {
    return this.#options.application;
  }

  get journal(): Journal {
    return this.#journal;
  }

  /** Once the databases are open. */
  get source(): CaptureSource | undefined {
    return this.#source;
  }

  get checkpointer(): Checkpointer {
    return this.#checkpointer;
  }

  /** Opens the databases for capture: existing ones are in WAL mode before the application sees them. */
  async openDatabases(): Promise<void> {
    const { store, writer, compression, clock, random, rules, openSource } = this.#options;
    this.#source = await openSource();
    const ports = { store, compression, clock, random, rules, signal: this.#aborted.signal };
    this.#source.storeFilesIn?.((bytes) => putFileChunk({ ...ports, position: writer.position + 1 }, bytes));
    this.#journal.attach(this.#source);
  }

  /**
   * Starts the application; rejects with `ApplicationError`. One that ended before it was ready is started once more,
   * on another port: the first port may have been taken meanwhile, and giving the epoch up for that would cost the
   * clients far more.
   */
  async startApplication(): Promise<void> {
    const { application, freePort, onWarning } = this.#options;
    try {
      await application.start(await freePort());
    } catch (error) {
      if (!(error instanceof ApplicationError) || !error.mayPass) throw error;
      onWarning(`${error.message}; it is started once more, on another port`);
      await application.start(await freePort());
    }
  }

  /** Opens the gate. */
  serve(): void {
    const { application, front } = this.#options;
    this.#checkpointer.begin();
    const journal = this.#journal;
    front.serve({
      epoch: this.epoch,
      get position() {
        return journal.position;
      },
      gate: () => this.#meter.onGate(this.#journal.gate()),
      get applicationHost() {
        return application.address;
      },
      get applicationPort() {
        return application.port;
      },
      whenReady: () => application.whenReady(),
      get isReady() {
        return application.isReady;
      },
      endings: application.endings,
      get maySpareEnding() {
        return application.maySpareEnding;
      },
      onCheckpointAsked: () => this.#askedCheckpoints.onAsked(),
    });
  }

  /** Synchronous: no byte leaves from now on, and the application's group is being killed. */
  abort(reason: string): void {
    this.#options.front.abort(reason);
    this.#aborted.abort(new Error(reason));
    this.#journal.abort();
    this.#askedCheckpoints.close();
    this.#options.application
      .kill()
      .catch((error: unknown) => this.#options.onWarning(`could not kill the application: ${String(error)}`));
  }

  /** Resolves when nothing of the term is left: processes gone, loop ended, databases closed. Call after `abort`. */
  async ended(): Promise<void> {
    await this.#options.application.kill();
    await this.#journal.ended();
    await this.#checkpointer.close();
    await this.#source?.close();
    this.#source = undefined;
  }

  /** The planned end; rejects if the term was aborted meanwhile. */
  async stepDown(
    successor: string | undefined,
    reason: string,
    onPhase: (phase: DemotePhase, ms: number) => void,
    rewind?: OrderedRewind,
  ): Promise<number> {
    const { clock, config, front, application, onWarning, log } = this.#options;
    const took: Record<string, number> = {};
    let since = clock.now();
    const phase = (name: DemotePhase): void => {
      const now = clock.now();
      onPhase(name, now - since);
      took[`${name}_ms`] = Number((now - since).toFixed(1));
      since = now;
    };
    const { cut } = await front.drain({ drainMs: config.drainTimeoutMs, streamsMs: config.drainStreamsMs });
    if (cut > 0)
      onWarning(`${cut} requests did not finish within ${config.drainTimeoutMs} ms and were cut by the switchover`);
    phase("drain");
    await application.stop();
    phase("stop");
    this.#source?.hurry?.();
    await this.#journal.gate();
    phase("flush");
    if (rewind !== undefined) {
      await this.#rewind(rewind);
      phase("rewind");
    }
    const position = await this.#journal.vacate(reason, successor);
    phase("vacate");
    log.info("stepped down", { position, ...took });
    return position;
  }

  /** If the flush cannot be made, the term ends as without it. Rejects if the term was aborted meanwhile. */
  async #rewind({ prepared, onDone, onFailed }: OrderedRewind): Promise<void> {
    const { store, writer, compression, clock, random, rules, front } = this.#options;
    const { signal } = this.#aborted;
    // None begins, or ends, with the state that is undone.
    await this.#checkpointer.close();
    const ports = { store, compression, clock, random, rules, signal };
    let made: RewindFlush | undefined;
    try {
      const position = await this.#journal.rewind(async (end) => {
        const storePiece: StorePiece = (bytes) => putFileChunk({ ...ports, position: writer.position + 1 }, bytes);
        made = await prepared.flush(end, storePiece, signal);
        return made;
      });
      if (made === undefined) return;
      front.handover.names.onRewound(position, made.rewound.requests);
      onDone(position, made.rewound);
    } catch (error) {
      if (made !== undefined || signal.aborted) throw error;
      onFailed(messageOf(error));
    }
  }
}
