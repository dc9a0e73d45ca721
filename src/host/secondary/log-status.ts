/**
 * What a host knows about the log: the owner of the highest epoch, how far it has read, how recent that is.
 *
 * It also finds a duplicate host id: another process that runs with the id of this host. A claim alone proves none: it
 * may be the last put of an earlier run of this host, which the network delivered after its death (simulation, seed
 * 112314). A dead process never learns that its late claim succeeded, so it writes nothing after it; a second record
 * proves a live duplicate.
 */
import type { Clock } from "../../runtime/clock.ts";
import type { RewoundStatus } from "../../control/rewind-api.ts";
import type { CheckpointManifest } from "../../vault/checkpoint/checkpoint.ts";
import type { LogRecord, RecordBody } from "../../vault/record.ts";
import type { EpochSeen } from "./follower.ts";

export interface LogStatusOptions {
  readonly clock: Clock;
  /** This host's id, and the random id of this run. */
  readonly host: string;
  readonly instance: string;
  /** Another process claims under this host's id, and continues to write. */
  readonly onDuplicateId: (controlUrl: string) => void;
}

/** What the log has after the newest checkpoint. */
export interface LogSinceCheckpoint {
  /** Since the state that the checkpoint has; by the wall clock, if another host wrote it. */
  readonly elapsedMs: number;
  /** Of pages in commits. */
  readonly bytes: number;
  readonly records: number;
}

export class LogStatus {
  /** The last rewind that this host has read or written. */
  rewound: RewoundStatus | undefined;
  readonly #options: LogStatusOptions;
  #checkpoint: CheckpointManifest | undefined;
  #checkpointAt: number;
  #bytes = 0;
  #records = 0;
  #epoch: EpochSeen | undefined;
  #position = 0;
  #lastRecordAt: number | undefined;
  /** True while records are read that may be older than this run of the host. */
  #isHistory = true;
  #handover: { readonly to: string; readonly at: number } | undefined;
  /** The last claim if it is new, made under this host's id, and not by this run. */
  #strange: { readonly nonce: string; readonly controlUrl: string } | undefined;

  constructor(options: LogStatusOptions) {
    this.#options = options;
    this.#checkpointAt = options.clock.now();
  }

  /** The newest one that this host has restored or written. */
  get checkpoint(): CheckpointManifest | undefined {
    return this.#checkpoint;
  }

  /** Of the records that were read: a term begins with this, and a checkpoint is due as if there had been one term. */
  get sinceCheckpoint(): LogSinceCheckpoint {
    return {
      elapsedMs: this.#options.clock.now() - this.#checkpointAt,
      bytes: this.#bytes,
      records: this.#records,
    };
  }

  /** This host restored from it, and has read the records after it. */
  restoredFrom(checkpoint: CheckpointManifest): void {
    const { clock } = this.#options;
    this.#checkpoint = checkpoint;
    this.#checkpointAt = clock.now() - Math.max(0, clock.wallTime() - checkpoint.wallTimeMs);
  }

  /** This host, as primary, wrote it. */
  wroteCheckpoint(checkpoint: CheckpointManifest): void {
    this.#checkpoint = checkpoint;
    this.#startsOver();
  }

  get epoch(): EpochSeen | undefined {
    return this.#epoch;
  }

  get position(): number {
    return this.#position;
  }

  /** Milliseconds since a record was seen; undefined: never. */
  get lastRecordAgeMs(): number | undefined {
    return this.#lastRecordAt === undefined ? undefined : this.#options.clock.now() - this.#lastRecordAt;
  }

  /**
   * The host to which this one handed over, and how long ago; undefined: to none, or another host has claimed since.
   */
  get handover(): { readonly to: string; readonly forMs: number } | undefined {
    return this.#handover === undefined
      ? undefined
      : { to: this.#handover.to, forMs: this.#options.clock.now() - this.#handover.at };
  }

  /** A restore begins: records read now are history again, including epochs of this host's earlier runs. */
  rereads(): void {
    this.#isHistory = true;
    this.#strange = undefined;
    this.#startsOver();
  }

  /** The end of the log was reached: later records are news. */
  isCurrent(epoch: EpochSeen | undefined, position: number): void {
    this.#isHistory = false;
    this.#epoch = epoch;
    this.#position = position;
  }

  /** This host wrote a record, or claimed. */
  wrote(position: number, epoch?: EpochSeen): void {
    this.#position = position;
    this.#lastRecordAt = this.#options.clock.now();
    if (epoch === undefined) return;
    this.#epoch = epoch;
    this.#handover = undefined;
  }

  /** The last claim was vacated, by this host itself, just now, in favour of `successor`. */
  vacated(successor: string | undefined = undefined): void {
    if (successor !== undefined) this.#handover = { to: successor, at: this.#options.clock.now() };
    if (this.#epoch !== undefined) this.#epoch = { ...this.#epoch, vacated: true };
  }

  /** A record was read; returns true if the epoch's owner changed or stepped down. */
  read({ header, body }: LogRecord): boolean {
    this.#position = header.position;
    this.#lastRecordAt = this.#options.clock.now();
    if (this.#strange?.nonce === header.nonce) this.#options.onDuplicateId(this.#strange.controlUrl);
    this.#count(body);
    if (body.kind === "vacate") this.vacated();
    if (body.kind !== "epoch") return body.kind === "vacate";
    this.#handover = undefined;
    const { leaseMs, controlUrl, instance } = body;
    this.#epoch = { epoch: header.epoch, host: header.host, vacated: false, leaseMs, controlUrl, instance };
    const isStrange = !this.#isHistory && header.host === this.#options.host && instance !== this.#options.instance;
    this.#strange = isStrange ? { nonce: header.nonce, controlUrl } : undefined;
    return true;
  }

  /**
   * A checkpoint that is announced while this host follows is of a state a moment before: what was written since then
   * is not counted. One that is announced in what a restore reads is the one that was restored, or older.
   */
  #count(body: RecordBody): void {
    if (body.kind === "checkpoint" && !this.#isHistory) return this.#startsOver();
    this.#records += 1;
    if (body.kind !== "commit") return;
    for (const { pages, pageSize } of body.databases) this.#bytes += pages.length * pageSize;
  }

  #startsOver(): void {
    this.#bytes = this.#records = 0;
    this.#checkpointAt = this.#options.clock.now();
  }
}
