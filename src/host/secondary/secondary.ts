/**
 * What a host holds while it is a secondary: the replica, and the follower that applies the log to it.
 *
 * A restore creates it; handing it over to a term or closing it ends it. The databases belong to one holder at a time.
 */
import type { FileTree } from "../../core/files/file-tree.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { StoreError } from "../../vault/store/store.ts";
import type { KnownPages } from "../ports/ports.ts";
import type { Warnings } from "../ports/warnings.ts";
import type { JournaledFiles } from "./files/file-replica.ts";
import type { Follower } from "./follower.ts";
import type { RestoreTarget } from "./restorer.ts";

/** A replica that can hand its page hashes on, so that a promotion need not read the database. */
export interface HostReplica extends RestoreTarget {
  /** Throws if the local databases are not what this replica wrote. */
  handOver(): KnownPages;
  /** The same of the files beside them; undefined or left out: the journal has none. */
  handOverFiles?(): JournaledFiles | undefined;
  /** All files beside the databases as of the last flush; left out: this replica has none. */
  readonly files?: FileTree;
  /** Those of them that this host's configuration leaves out. */
  readonly unlistedFiles?: ReadonlySet<string>;
}

export type HandedOver =
  | { readonly kind: "handed-over"; readonly known: KnownPages; readonly files: JournaledFiles | undefined }
  /** Another process wrote into the databases: they are not what the journal made of them. */
  | { readonly kind: "diverged"; readonly reason: string };

export interface SecondaryOptions {
  readonly follower: Follower;
  readonly replica: HostReplica;
  readonly clock: Clock;
  /** Reread for each run of `follow`. */
  readonly pollMs: () => number;
  readonly warnings: Pick<Warnings, "warn">;
}

/** Pause after a failed read; it doubles up to `most`. */
const retryMs = { first: 100, most: 3_000 } as const;

export class Secondary {
  readonly follower: Follower;
  readonly replica: HostReplica;
  readonly #options: SecondaryOptions;

  constructor(options: SecondaryOptions) {
    this.follower = options.follower;
    this.replica = options.replica;
    this.#options = options;
  }

  /** Names of its databases. */
  databases(): Iterable<string> {
    return this.replica.checksums().keys();
  }

  /**
   * Applies new records until the signal is aborted, waiting for a vault that does not answer. Rejects with the error
   * that makes following from here impossible.
   */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, pollMs, warnings } = this.#options;
    let pauseMs: number = retryMs.first;
    while (!signal.aborted) {
      try {
        await this.follower.follow(pollMs(), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StoreError)) throw error;
        warnings.warn(`the vault cannot be read: ${messageOf(error)}`, "vault");
        await clock.sleep(pauseMs, signal).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, retryMs.most);
      }
    }
  }

  /** Hands the databases over to a term, which then closes this. */
  async handOver(): Promise<HandedOver> {
    await this.follower.close();
    try {
      return { kind: "handed-over", known: this.replica.handOver(), files: this.replica.handOverFiles?.() };
    } catch (error) {
      return { kind: "diverged", reason: messageOf(error) };
    }
  }

  async close(): Promise<void> {
    await this.follower.close();
    await this.replica.close();
  }
}
