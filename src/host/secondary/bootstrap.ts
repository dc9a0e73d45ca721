/**
 * The bootstrap of an empty vault: the first host configured for it uses its local databases, or none, as the content
 * at position 0, before the first record of the log.
 *
 * Two hosts may try at once: the manifest at position 0 is created by exactly one of them (`putIfAbsent`), and the
 * other restores from it like any secondary; its local data is set aside. No host claims before a checkpoint exists, so
 * a crash in the middle leaves an empty vault, never a log that starts from nothing. A log without a checkpoint is
 * therefore a vault that lost its checkpoints (removed by hand, not yet copied back): nothing is put in their place,
 * even with `bootstrap = true` in the configuration.
 */
import type { Clock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { listCheckpoints, writeCheckpoint } from "../../vault/checkpoint/checkpoint.ts";
import type { Compression } from "../../vault/checkpoint/chunk-codec.ts";
import { CheckpointExistsError } from "../../vault/errors.ts";
import type { Log } from "../../vault/log/log.ts";
import type { Store } from "../../vault/store/store.ts";
import type { CaptureSource } from "../ports/ports.ts";

export interface BootstrapOptions {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  /** Checks the local databases before they are used; rejects if they may not be. */
  readonly check?: (() => Promise<void>) | undefined;
  readonly openSource: () => Promise<CaptureSource>;
  /** Default: zstd on the thread pool. */
  readonly compression?: Compression | undefined;
  /** Of the first checkpoint, in bytes. */
  readonly onProgress?: ((bytes: number, totalBytes: number) => void) | undefined;
}

/** A vault that has, or had, a log, but no checkpoint. */
export class CheckpointsMissingError extends OperatorError {
  constructor() {
    super("vault", {
      found: "the vault has a log, but not one checkpoint: it is not empty, so this host does not bootstrap it",
      advice: "put the folders `checkpoints` and `chunks` back from a backup, or start over in a new vault",
    });
  }
}

const noRecordHash = "0".repeat(64);

/**
 * Returns true if this host wrote the first checkpoint; false if there was one, or another host was first. Throws
 * CheckpointsMissingError, StoreError, and errors of the check and of capture.
 */
export async function bootstrap({
  store,
  log,
  clock,
  check,
  openSource,
  compression,
  onProgress,
}: BootstrapOptions): Promise<boolean> {
  const hasBegun = async (): Promise<boolean> => (await listCheckpoints(store)).length > 0;
  if (await hasBegun()) return false;
  if (!(await log.isEmpty())) throw new CheckpointsMissingError();
  try {
    await check?.();
  } catch (error) {
    // The check takes time: if another host has begun the vault meanwhile, the databases here no longer matter.
    if (await hasBegun()) return false;
    throw error;
  }
  const source = await openSource();
  try {
    const { batch, snapshot } = await source.beginSnapshot();
    batch?.done();
    try {
      const { databases, files } = snapshot;
      await writeCheckpoint({
        store,
        position: 0,
        hash: noRecordHash,
        epoch: 0,
        epochPosition: 0,
        wallTimeMs: clock.wallTime(),
        databases,
        ...(files === undefined ? {} : { files }),
        ...(compression === undefined ? {} : { compression }),
        ...(onProgress === undefined ? {} : { onProgress }),
      });
      return true;
    } catch (error) {
      if (error instanceof CheckpointExistsError) return false;
      throw error;
    } finally {
      await snapshot.release();
    }
  } finally {
    await source.close();
  }
}
