/** The copies of the vault that a primary writes: one for each `[[host.vault_copy]]`, also of a reloaded file. */
import type { VaultCopyConfig } from "../config/vault-copy.ts";
import type { VaultCopyStatus } from "../control/vault-copy.ts";
import { BackgroundTasks } from "../runtime/background-tasks.ts";
import type { Timer } from "../runtime/clock.ts";
import type { Warnings } from "./ports/warnings.ts";
import { VaultCopy, type VaultCopyOptions, type VaultCopyPorts } from "./vault-copy.ts";

export type { VaultCopyPorts } from "./vault-copy.ts";

export interface VaultCopiesOptions extends Omit<VaultCopyOptions, "ports" | "copy"> {
  /** Undefined: this host has nothing to copy with. */
  readonly ports: VaultCopyPorts | undefined;
  /** Read at each look. */
  readonly configured: () => readonly VaultCopyConfig[];
  readonly warnings: Pick<Warnings, "warn" | "over">;
}

const lookEveryMs = 1_000;

export class VaultCopies {
  readonly #options: VaultCopiesOptions;
  readonly #copies = new Map<string, VaultCopy>();
  readonly #background = new BackgroundTasks();
  #statuses: readonly VaultCopyStatus[] = [];
  #timer: Timer | undefined;

  constructor(options: VaultCopiesOptions) {
    this.#options = options;
  }

  get statuses(): readonly VaultCopyStatus[] {
    return this.#statuses;
  }

  start(): void {
    if (this.#options.ports !== undefined) this.#look(this.#options.ports);
  }

  /** Resolves when nothing of them is open. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const copy of this.#copies.values()) this.#background.own(copy.close());
    this.#copies.clear();
    await this.#background.settled();
  }

  #look(ports: VaultCopyPorts): void {
    const { clock, configured, written } = this.#options;
    const wanted = new Map(configured().map((copy) => [JSON.stringify(copy), copy]));
    for (const [key, copy] of this.#copies) {
      if (wanted.has(key)) continue;
      this.#copies.delete(key);
      this.#background.own(copy.close());
    }
    for (const [key, copy] of wanted) {
      if (this.#copies.has(key)) continue;
      const added = new VaultCopy({ ...this.#options, ports, copy });
      this.#copies.set(key, added);
      added.start();
    }
    this.#statuses = [...this.#copies.values()].map((copy) => copy.status()).filter((status) => status !== undefined);
    this.#tell(written() === undefined);
    this.#timer = clock.setTimer(lookEveryMs, () => this.#look(ports));
  }

  #tell(isIdle: boolean): void {
    const { warnings } = this.#options;
    const stalled = this.#statuses.filter(({ isStalled }) => isStalled);
    if (isIdle || stalled.length === 0) return warnings.over("copies of the vault");
    const each = stalled.map(({ to, position, error }) => {
      const end = position === null ? "it is not whole yet" : `it ends at position ${position}`;
      return `${to} makes no progress (${end})${error === null ? "" : `: ${error}`}`;
    });
    warnings.warn(`a copy of the vault at ${each.join("; ")}`, "copies of the vault");
  }
}
