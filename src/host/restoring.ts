/**
 * One try after the other to bring this host to the end of the log: bootstrap the vault when this host was told to and
 * nobody did, restore, and when that fails, what to wait for before the next try.
 */
import type { LogRecord } from "../vault/record.ts";
import { bootstrap } from "./secondary/bootstrap.ts";
import type { HostPorts, HostReplica } from "./host-ports.ts";
import { LogMending } from "./secondary/log-mending.ts";
import type { Warnings } from "./ports/warnings.ts";
import { freshMemory } from "./secondary/restore-room.ts";
import { EmptyVaultError, restore, type Restored } from "./secondary/restorer.ts";

/** Pause after a restore that failed; it doubles up to the second. */
const retryMs = { first: 100, most: 3_000 } as const;

export interface RestoringOptions {
  readonly parts: HostPorts;
  /** Of this run of the host. */
  readonly instance: string;
  readonly warnings: Warnings;
  /** What takes its time. */
  readonly onProgress: (text: string) => void;
  /** This host wrote the first checkpoint. */
  readonly onBootstrapped: () => void;
  readonly onRecord: (record: LogRecord) => void;
}

export class Restoring {
  readonly #options: RestoringOptions;
  readonly #mending: LogMending;
  #memory = freshMemory();
  #pauseMs: number = retryMs.first;

  constructor(options: RestoringOptions) {
    this.#options = options;
    const { parts, instance, warnings } = options;
    const { store, vaultLog: log, clock, askForCheckpoint: ask } = parts;
    this.#mending = new LogMending({
      store,
      log,
      clock,
      instance,
      ask,
      onWarning: (text) => warnings.warn(text, "restore"),
    });
  }

  /** The next try is the first of a new restore. */
  begin(): void {
    this.#pauseMs = retryMs.first;
    this.#memory = freshMemory();
    this.#mending.over();
  }

  /** Throws what makes it impossible right now. */
  async once(signal: AbortSignal): Promise<Restored<HostReplica>> {
    const { parts, warnings, onProgress, onBootstrapped, onRecord } = this.#options;
    const {
      config,
      store,
      vaultLog,
      clock,
      rules,
      local,
      checkDatabases,
      openReplica,
      openSource,
      localChunk,
      log,
      compression,
    } = parts;
    const check =
      checkDatabases === undefined ? undefined : (): Promise<void> => checkDatabases(onProgress, warnings, signal);
    if (
      config.bootstrap &&
      (await bootstrap({
        store,
        log: vaultLog,
        clock,
        check,
        openSource: () => openSource(undefined, warnings),
        compression,
      }))
    ) {
      log.info("bootstrapped the vault", { from: config.dataFolder });
      await local.mark({ kind: "secondary" });
      onBootstrapped();
    }
    const onTrouble = (text: string): void => warnings.warn(text, "vault");
    const onWarning = (text: string): void => warnings.warn(text);
    return restore<HostReplica>({
      store,
      log: vaultLog,
      clock,
      rules,
      local,
      openTarget: openReplica,
      localChunk,
      onTrouble,
      onWarning,
      onRecord,
      signal,
      memory: this.#memory,
    });
  }

  /** After a try that failed. Resolves early when the signal is aborted. */
  async pauseAfter(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.parts;
    const isWaiting = error instanceof EmptyVaultError;
    const pauseMs = isWaiting ? retryMs.first : this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, retryMs.most);
    await (this.#mending.after(error, signal) ?? clock.sleep(pauseMs, signal)).catch(() => undefined);
  }
}
