/** A vault in memory that a primary fills, and a copier of it. */
import { allRules } from "../../../src/core/rules.ts";
import { type CheckpointManifest, writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { collectGarbage } from "../../../src/vault/checkpoint/retention.ts";
import { VaultCopier } from "../../../src/vault/copy/vault-copier.ts";
import type { Log } from "../../../src/vault/log/log.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { openLog } from "../../../src/vault/log/open-log.ts";
import { keysOfNew } from "../../../src/vault/log/turn-on-keys.ts";
import { ensureIdentity, type LogKind, type VaultIdentity } from "../../../src/vault/store/identity.ts";
import { keyed } from "../../../src/vault/store/keyed-store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import type { VaultKeys } from "../../../src/vault/store/vault-keys.ts";
import { PageDatabase } from "./checkpoint-fixture.ts";
import { JumpingClock, makeHost, service } from "./log-fixture.ts";

export const secret = "a secret of sixteen characters";
export const policy = { checkpointsMin: 1, windowMs: 0 };

interface Setup {
  readonly log?: LogKind;
  readonly isEncrypted?: boolean;
  readonly host?: string;
}

/** A vault that a primary fills. */
export class FilledVault {
  readonly raw = new MemoryStore();
  readonly database = new PageDatabase("app.db", 600);
  identity!: VaultIdentity;
  keys: VaultKeys | undefined;
  log!: Log;
  writer!: LogWriter;
  newest!: CheckpointManifest;

  get store(): Store {
    return keyed(this.raw, this.keys);
  }

  async begin({ log = "objects", isEncrypted = false, host = "a" }: Setup = {}): Promise<this> {
    this.identity = await ensureIdentity(this.raw, service, { log });
    if (isEncrypted) this.keys = await keysOfNew(this.raw, this.identity, [secret], { encrypts: true });
    this.log = openLog(this.store, this.identity, { keys: this.keys });
    this.newest = await this.#writeCheckpoint(0, "0".repeat(64), 0, 0);
    await this.lead(host);
    return this;
  }

  async lead(host: string): Promise<void> {
    this.writer = await makeHost(host, this.log).lead();
  }

  async commit(count: number): Promise<void> {
    for (let at = 0; at < count; at += 1) {
      const delta = this.database.change(1 + (this.writer.position % 600), this.writer.position);
      await this.writer.append({ kind: "commit", part: 1, parts: 1, databases: [delta] });
    }
  }

  async checkpoint(): Promise<void> {
    const { position, hash, epoch, claimPosition } = this.writer;
    this.newest = await this.#writeCheckpoint(position, hash, epoch, claimPosition);
    const { manifestHash } = this.newest;
    await this.writer.append({ kind: "checkpoint", checkpointPosition: position, manifestHash });
  }

  async retain(): Promise<void> {
    await collectGarbage({
      ...{ store: this.store, log: this.log, newest: this.newest, logPosition: this.writer.position },
      ...{ policy, nowMs: Number.MAX_SAFE_INTEGER, rules: allRules },
    });
  }

  copier(copy: Store): VaultCopier {
    const { raw: source, log, identity, keys } = this;
    const onWarning = (text: string): void => void this.warnings.push(text);
    return new VaultCopier({
      ...{ source, log, copy, identity, keys, clock: new JumpingClock(), policy: () => policy, onWarning },
    });
  }

  readonly warnings: string[] = [];

  async #writeCheckpoint(position: number, hash: string, epoch: number, epochPosition: number) {
    const { store, database } = this;
    const wallTimeMs = 1000 + position;
    const at = { store, position, hash, epoch, epochPosition, wallTimeMs, databases: [database] };
    return (await writeCheckpoint(at)).manifest;
  }
}
