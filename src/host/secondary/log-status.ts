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
import type { LogRecord } from "../../vault/record.ts";
import type { EpochSeen } from "./follower.ts";

export interface LogStatusOptions {
  readonly clock: Clock;
  /** This host's id, and the random id of this run. */
  readonly host: string;
  readonly instance: string;
  /** Another process claims under this host's id, and continues to write. */
  readonly onDuplicateId: (controlUrl: string) => void;
}

export class LogStatus {
  /** The newest one that this host knows of. */
  checkpoint: CheckpointManifest | undefined;
  /** The last rewind that this host has read or written. */
  rewound: RewoundStatus | undefined;
  readonly #options: LogStatusOptions;
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
    if (body.kind === "vacate") this.vacated();
    if (body.kind !== "epoch") return body.kind === "vacate";
    this.#handover = undefined;
    const { leaseMs, controlUrl, instance } = body;
    this.#epoch = { epoch: header.epoch, host: header.host, vacated: false, leaseMs, controlUrl, instance };
    const isStrange = !this.#isHistory && header.host === this.#options.host && instance !== this.#options.instance;
    this.#strange = isStrange ? { nonce: header.nonce, controlUrl } : undefined;
    return true;
  }
}
