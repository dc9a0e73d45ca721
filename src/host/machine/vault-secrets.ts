/**
 * Lets the vault's keys open with the cluster's secret while it is rotated. The keys stay; what opens them changes:
 * - Once this host knows a new secret, both open them: a host that starts with either finds its keys.
 * - Once its former secret has ended, the new one alone opens them.
 *
 * Any host does this, the first one that notices. A host that never knew a new secret removes none: who starts with an
 * old file would lock the others out. So a former secret is removed by who has seen both, in this run; if all hosts
 * restart in between, `stead vault rekey` does it, and `stead secret rotate` says so.
 */
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { KeyringError } from "../../vault/errors.ts";
import type { VaultIdentity } from "../../vault/store/identity.ts";
import { type OpenedKeyring, readKeyring, sealAgain } from "../../vault/store/keyring.ts";
import type { Store } from "../../vault/store/store.ts";

const retryMs = 5_000;

export interface VaultSecretsOptions {
  /** Not authenticated by the keys. */
  readonly store: Store;
  readonly identity: VaultIdentity;
  readonly secrets: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export class VaultSecrets {
  readonly #options: VaultSecretsOptions;
  readonly #background = new BackgroundTasks();
  /** Whether the keys open with the first secret, and with how many in all; undefined: none are known. */
  #opens: { readonly opens: boolean; readonly secrets: number } | undefined;
  /** Both of a rotation, as this run has seen them. */
  #rotated: readonly string[] = [];
  #running: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: VaultSecretsOptions) {
    this.#options = options;
  }

  /** What operators are told. */
  get warnings(): readonly string[] {
    return this.#opens?.opens === false
      ? [
          "the vault's keys do not open with this host's secret: it continues with what it has, and would not start again. Run `stead vault rekey` with the former secret, or correct the secret",
        ]
      : [];
  }

  get opens(): { readonly opens: boolean; readonly secrets: number } | undefined {
    return this.#opens;
  }

  /** Call when other secrets are valid. */
  changed(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#running = this.#running.then(() => this.#adjust());
    this.#background.own(this.#running);
  }

  /** Resolves once the last change was followed, or could not be. */
  settled(): Promise<void> {
    return this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#background.settled();
  }

  async #adjust(): Promise<void> {
    const { secrets, log, clock } = this.#options;
    if (this.#isClosed) return;
    const valid = secrets();
    try {
      await this.#letOpen(valid);
    } catch (error) {
      if (error instanceof KeyringError) return this.#doesNotOpen(error);
      log.warn("whether the vault's keys open with the present secret is not known yet", { why: messageOf(error) });
      if (!this.#isClosed) this.#timer = clock.setTimer(retryMs, () => this.changed());
    }
  }

  async #letOpen(valid: readonly string[]): Promise<void> {
    const { store, identity, log } = this.#options;
    const [first = ""] = valid;
    const ring = await readKeyring(store, identity, [...valid, ...this.#rotated]);
    if (valid.length > 1) this.#rotated = valid;
    if (ring === undefined) return;
    const isOpen = await this.#isOpenWith(first);
    const isOver = valid.length === 1 && this.#rotated[0] === first && ring.sealedFor > 1;
    if (isOpen && !isOver) return this.#found(ring, true);
    if (await sealAgain(store, identity, valid, ring))
      log.info("the vault's keys open with other secrets now", { secrets: valid.length });
    const after = await readKeyring(store, identity, [...valid, ...this.#rotated]);
    if (after !== undefined) this.#found(after, await this.#isOpenWith(first));
  }

  async #isOpenWith(secret: string): Promise<boolean> {
    const { store, identity } = this.#options;
    try {
      return (await readKeyring(store, identity, [secret])) !== undefined;
    } catch (error) {
      if (error instanceof KeyringError) return false;
      throw error;
    }
  }

  /** The keys that this host has stay; it is its next start that would fail. */
  #doesNotOpen(error: KeyringError): void {
    this.#opens = { opens: false, secrets: 0 };
    this.#options.log.error(error.found, { advice: error.advice });
  }

  #found({ sealedFor }: OpenedKeyring, opens: boolean): void {
    this.#opens = { opens, secrets: sealedFor };
  }
}
