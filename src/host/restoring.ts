/**
 * What a host does while it restores: it tries repeatedly to bring its databases to the end of the log. It bootstraps
 * the vault if this host was told to and no other did, restores, and after a failure finds out what to wait for before
 * the next try.
 */
import { describeUnmatchedFiles } from "../core/files/file-pattern.ts";
import type { FileTree } from "../core/files/file-tree.ts";
import { describeUnmatched, unmatchedNames } from "../core/database-pattern.ts";
import type { HostEvent } from "../core/host/life.ts";
import { messageOf } from "../runtime/operator-error.ts";
import { ProgressReport } from "../runtime/progress-report.ts";
import type { LogRecord } from "../vault/record.ts";
import type { HostPorts } from "./host-ports.ts";
import type { Warnings } from "./ports/warnings.ts";
import { bootstrap } from "./secondary/bootstrap.ts";
import { DamagedDatabasesError } from "./secondary/bootstrap-check.ts";
import { matcherOf } from "./secondary/files/matcher-of.ts";
import { LogMending } from "./secondary/log-mending.ts";
import type { LogStatus } from "./secondary/log-status.ts";
import { freshMemory } from "./secondary/restore-room.ts";
import { EmptyVaultError, restore, type Restored, type SetAsideData } from "./secondary/restorer.ts";
import { type HostReplica, Secondary } from "./secondary/secondary.ts";
import { yieldToSuccessor } from "./secondary/yield-to-successor.ts";

/** Pause after a failed restore; it doubles up to `most`. */
const retryMs = { first: 100, most: 3_000 } as const;

export interface RestoringOptions {
  readonly ports: HostPorts;
  /** Id of this run of the host. */
  readonly instance: string;
  readonly logStatus: LogStatus;
  readonly warnings: Warnings;
  /** Rereads which databases operators excluded. Throws the vault's errors. */
  readonly readExclusions: () => Promise<void>;
  /** Closes the databases before they are touched, whatever has them open. */
  readonly release: () => Promise<void>;
  readonly hold: (secondary: Secondary) => void;
  readonly onDelayed: (reason: string, isFailure: boolean) => void;
  readonly onRecord: (record: LogRecord) => void;
}

export class Restoring {
  readonly #options: RestoringOptions;
  readonly #mending: LogMending;
  #memory = freshMemory();
  #pauseMs: number = retryMs.first;
  #hasBootstrapped = false;
  #setAsides: readonly string[] = [];

  constructor(options: RestoringOptions) {
    this.#options = options;
    const { ports, instance, warnings } = options;
    const { store, vaultLog: log, clock, askForCheckpoint: ask } = ports;
    this.#mending = new LogMending({
      store,
      log,
      clock,
      instance,
      ask,
      onWarning: (text) => warnings.warn(text, "restore"),
    });
  }

  /** Dated folders with diverged data, oldest first. */
  get setAsides(): readonly string[] {
    return this.#setAsides;
  }

  /**
   * Tries until a restore succeeds or only a person can help; the event tells which. Undefined: aborted. `notBefore`
   * and `vacatedAt`: see the effect `restore`.
   */
  async run(
    { notBefore, vacatedAt }: { readonly notBefore?: number | undefined; readonly vacatedAt?: number | undefined },
    signal: AbortSignal,
  ): Promise<HostEvent | undefined> {
    const { ports, logStatus, release } = this.#options;
    const { clock, vaultLog, leftovers } = ports;
    if (notBefore !== undefined) await clock.sleep(notBefore - clock.now(), signal).catch(() => undefined);
    // Before the term's databases are closed: checkpointing them would keep this process from telling the gateway that
    // it has vacated.
    if (vacatedAt !== undefined) await yieldToSuccessor({ log: vaultLog, clock, vacatedAt, signal });
    let isAlone = false;
    this.#forget();
    while (!signal.aborted) {
      try {
        await release();
        // Before a file is moved: an earlier run of this host may also have left an application running.
        isAlone ||= await leftovers.ensureNone();
        logStatus.rereads();
        return await this.#once(signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        if (error instanceof DamagedDatabasesError) return { kind: "broken", reason: messageOf(error) };
        this.#options.onDelayed(messageOf(error), !(error instanceof EmptyVaultError));
        await this.#pauseAfter(error, signal);
      }
    }
    return undefined;
  }

  /** The next try is the first of a new restore. */
  #forget(): void {
    this.#pauseMs = retryMs.first;
    this.#memory = freshMemory();
    this.#mending.over();
  }

  /** Throws what makes a restore impossible right now. */
  async #once(signal: AbortSignal): Promise<HostEvent | undefined> {
    const { ports, logStatus, warnings, readExclusions, hold } = this.#options;
    const { config, clock, local } = ports;
    await readExclusions();
    await this.#bootstrap(signal);
    const { target: replica, follower, checkpoint, setAside } = await this.#restore(signal);
    if (signal.aborted) return replica.close().then(() => undefined);
    ports.front.handover.names.isUnknownUntil(checkpoint.position);
    warnings.over("restore");
    const secondary = new Secondary({ follower, replica, clock, pollMs: () => config.pollMs, warnings });
    hold(secondary);
    logStatus.restoredFrom(checkpoint);
    if (setAside !== undefined) warnings.warn(describeSetAside(setAside));
    this.#setAsides = await local.setAsides();
    const uncovered = ports.uncoveredFiles?.();
    if (uncovered === undefined) warnings.over("uncovered");
    else warnings.warn(uncovered, "uncovered");
    logStatus.isCurrent(follower.epoch, follower.reader.position);
    const unlisted = unlistedData(secondary, ports);
    if (unlisted !== undefined) return { kind: "broken", reason: unlisted };
    const bootstrapped = this.#hasBootstrapped;
    this.#hasBootstrapped = false;
    return { kind: "restored", bootstrapped };
  }

  async #bootstrap(signal: AbortSignal): Promise<void> {
    const { ports, warnings, onDelayed } = this.#options;
    const { config, store, vaultLog, clock, local, checkDatabases, openSource, log, compression } = ports;
    if (!config.bootstrap) return;
    const check = async (): Promise<void> => {
      await local.assertWhole?.();
      await checkDatabases?.((text) => onDelayed(text, false), warnings, signal);
    };
    const isFirst = await bootstrap({
      store,
      log: vaultLog,
      clock,
      check,
      openSource: () => openSource(undefined, warnings),
      compression,
      onProgress: this.#progress("writing the first checkpoint").reached,
    });
    if (!isFirst) return;
    log.info("bootstrapped the vault", { from: config.dataFolder });
    await local.mark({ kind: "secondary" });
    this.#hasBootstrapped = true;
  }

  /** Status has it as the reason why this host still restores. */
  #progress(what: string): ProgressReport {
    const { ports, onDelayed } = this.#options;
    return new ProgressReport({ what, clock: ports.clock, say: (text) => onDelayed(text, false) });
  }

  #restore(signal: AbortSignal): Promise<Restored<HostReplica>> {
    const { ports, warnings, onRecord } = this.#options;
    const { store, vaultLog, clock, rules, local, openReplica, localChunk } = ports;
    return restore<HostReplica>({
      store,
      log: vaultLog,
      clock,
      rules,
      local,
      openTarget: openReplica,
      localChunk,
      onVaultFailure: (text) => warnings.warn(text, "vault"),
      onWarning: (text) => warnings.warn(text),
      onRecord,
      onProgress: this.#progress("loading a checkpoint").reached,
      signal,
      memory: this.#memory,
    });
  }

  /** Pauses after a failed try. Resolves early when the signal is aborted. */
  async #pauseAfter(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.ports;
    const isWaiting = error instanceof EmptyVaultError;
    const pauseMs = isWaiting ? retryMs.first : this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, retryMs.most);
    await (this.#mending.after(error, signal) ?? clock.sleep(pauseMs, signal)).catch(() => undefined);
  }
}

const describeSetAside = ({ folder, what }: SetAsideData): string =>
  what === "state"
    ? `local data that is not in the journal (committed here, never acknowledged) is set aside in ${folder}`
    : `files in places that \`files\` covers and that the journal does not have now (deleted while this host was away, or never covered before) are set aside in ${folder}`;

/** Why no host of this configuration could become primary with a state of the vault; undefined: it could. */
export function uncoveredState(
  databases: Iterable<string>,
  tree: FileTree | undefined,
  config: HostPorts["config"],
): string | undefined {
  const names = unmatchedNames(databases, config.databases, config.databasesExcept);
  if (names.length > 0) return describeUnmatched(names, config.databases);
  const matcher = matcherOf(config);
  const files = [...(tree?.entries() ?? [])].flatMap(([path, { kind }]) => {
    const isListed = kind === "folder" || matcher?.covers(path) === true || matcher?.excepts(path) === true;
    return isListed ? [] : [path];
  });
  return files.length === 0 ? undefined : describeUnmatchedFiles(files, config.files?.patterns ?? []);
}

/**
 * Why a host that is whole may not become primary: it would not capture what the application writes into these
 * databases or files. Undefined: every one of the journal matches `host.databases` or `host.files`.
 */
export function unlistedData(secondary: Secondary, { config }: Pick<HostPorts, "config">): string | undefined {
  const names = unmatchedNames(secondary.databases(), config.databases, config.databasesExcept);
  if (names.length > 0) return describeUnmatched(names, config.databases);
  const files = [...(secondary.replica.unlistedFiles ?? [])];
  return files.length === 0 ? undefined : describeUnmatchedFiles(files, config.files?.patterns ?? []);
}
