/**
 * One copy of the vault (`[[host.vault_copy]]`), written while this host is primary: in the background, with a store of
 * its own, so that neither a commit nor a renewal nor a checkpoint waits for it. vault/copy/vault-copier.ts has the
 * order and its argument.
 *
 * - It copies up to what this term has put: those records are durable, so none of them can be another one later.
 * - It continues where the copy stands, also if another host wrote it: after a failure, a restart, or a failover.
 * - A failure is repeated after a pause that doubles. A place that has something else is one too: only an operator can
 *   end it, and status says so meanwhile.
 */
import type { VaultCopyConfig } from "../config/vault-copy.ts";
import type { VaultCopyStatus } from "../control/vault-copy.ts";
import { CopyBacklog } from "../core/host/copy-backlog.ts";
import type { RetentionPolicy } from "../core/retention.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { CopiedIdentity } from "../vault/copy/copy-place.ts";
import { VaultCopier } from "../vault/copy/vault-copier.ts";
import type { Log } from "../vault/log/log.ts";
import type { Store } from "../vault/store/store.ts";
import type { VaultKeys } from "../vault/store/vault-keys.ts";
import { TimedStore } from "./machine/timed-store.ts";
import type { Written } from "./ports/ports.ts";

/** What copying needs of the machine. */
export interface VaultCopyPorts {
  /** The vault, as it is: without keys. */
  readonly source: Store;
  readonly identity: CopiedIdentity;
  open(copy: VaultCopyConfig): Promise<Store & { close(): Promise<void> }>;
}

export interface VaultCopyOptions {
  readonly ports: VaultCopyPorts;
  readonly copy: VaultCopyConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly vaultLog: Log;
  readonly keys: VaultKeys | undefined;
  readonly policy: () => RetentionPolicy;
  /** Of the present term; undefined: this host is not primary. */
  readonly written: () => Written | undefined;
  /** An attempt failed, or succeeded after that. */
  readonly onChange: () => void;
}

interface OpenedCopy {
  readonly copier: VaultCopier;
  readonly close: () => Promise<void>;
}

const everyMs = 1_000;
const pauseMsMax = 60_000;
/** For one operation of the copy's store. */
const operationMsMax = 30_000;
/** A copy that has not moved for so long while the log did is stalled. */
const stalledAfterMs = 60_000;

export class VaultCopy {
  readonly #options: VaultCopyOptions;
  readonly #ended = new AbortController();
  #running: Promise<void> | undefined;
  #opened: OpenedCopy | undefined;
  #backlog = new CopyBacklog();
  #error: string | undefined;
  /** Monotonic: when the copy had everything, or moved, for the last time in this term. */
  #movedAt = -Infinity;
  #movedTo: number | undefined;

  constructor(options: VaultCopyOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run(this.#ended.signal);
  }

  /** Resolves when nothing of it is open. */
  async close(): Promise<void> {
    this.#ended.abort(new Error("the copy of the vault ends"));
    await this.#running;
  }

  /** Undefined: this host does not write it now. Called at intervals, which also notes how far the log is. */
  status(): VaultCopyStatus | undefined {
    const { clock, copy, written: writtenNow } = this.#options;
    const written = writtenNow();
    if (written === undefined) return undefined;
    const { end } = this.#opened?.copier ?? {};
    this.#backlog.add(written);
    const isBehind = end === undefined || end.position < written.position;
    if (!isBehind || end?.position !== this.#movedTo) this.#movedAt = clock.now();
    this.#movedTo = end?.position;
    return {
      to: copy.url,
      position: end?.position ?? null,
      checkpoint: end?.checkpoint ?? null,
      lagMs: end === undefined ? null : isBehind ? Math.max(0, Math.round(clock.wallTime() - end.wallTimeMs)) : 0,
      lagBytes: this.#backlog.after(end?.position ?? -1),
      isStalled: isBehind && clock.now() - this.#movedAt >= stalledAfterMs,
      error: this.#error ?? null,
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let pauseMs = everyMs;
    while (!signal.aborted) {
      pauseMs = (await this.#round(signal)) ? everyMs : Math.min(pauseMsMax, 2 * pauseMs);
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
    await this.#release();
  }

  /** Returns false if it failed. Never rejects. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { written, log, copy, onChange } = this.#options;
    const position = written()?.position;
    try {
      if (position === undefined) {
        await this.#release();
        this.#backlog = new CopyBacklog();
        this.#movedAt = this.#options.clock.now();
        this.#error = undefined;
        return true;
      }
      const { copier } = (this.#opened ??= await this.#open());
      await copier.copyUpTo(position, signal);
      if (this.#error === undefined) return true;
      this.#error = undefined;
      log.info("the vault is copied again", { to: copy.url });
      onChange();
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      const text = messageOf(error);
      if (text !== this.#error) log.warn("the vault could not be copied", { to: copy.url, reason: text });
      this.#error = text;
      onChange();
      return false;
    }
  }

  async #open(): Promise<OpenedCopy> {
    const { ports, copy, clock, log, vaultLog, keys, policy } = this.#options;
    const store = await ports.open(copy);
    const copier = new VaultCopier({
      ...{ source: ports.source, log: vaultLog, copy: new TimedStore(store, clock, operationMsMax) },
      ...{ identity: ports.identity, keys, clock, policy },
      onWarning: (text) => log.warn(text, { to: copy.url }),
    });
    return { copier, close: () => store.close() };
  }

  async #release(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.close();
  }
}
