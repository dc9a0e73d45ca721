/**
 * What this host knows of the log of its vault server, kept between its runs: a host that was started again does not
 * believe a server with less, either (remote/serve-vault.ts).
 *
 * It is written at most once a second and not synced: an earlier state makes the check weaker, and never wrong. It
 * counts for the vault with that id alone.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isVaultUrl } from "../../core/vault-address.ts";
import type { KnownLog } from "../../remote/known-end.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const fileName = "vault-known.json";
const everyMs = 1_000;

export interface KnownEndOptions {
  readonly stateFolder: string;
  readonly vaultUrl: string;
  readonly vaultId: string;
  readonly known: KnownLog;
  readonly clock: Clock;
  readonly onFailure: (text: string) => void;
}

export class KnownEndFile {
  readonly #options: KnownEndOptions;
  readonly #path: string;
  #written = 0;
  #timer: Timer | undefined;

  /** Takes over what an earlier run has noted, and notes from now on. Nothing to do for a vault in a folder. */
  static open(options: KnownEndOptions): KnownEndFile {
    const file = new KnownEndFile(options);
    if (!isVaultUrl(options.vaultUrl)) return file;
    file.#read();
    file.#schedule();
    return file;
  }

  private constructor(options: KnownEndOptions) {
    this.#options = options;
    this.#path = join(options.stateFolder, fileName);
  }

  close(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = undefined;
    this.#write();
  }

  /** A file that is missing, unreadable or of another vault says nothing. */
  #read(): void {
    let found: Partial<Record<"vault" | "position" | "digest", unknown>>;
    try {
      found = JSON.parse(readFileSync(this.#path, "utf8")) as typeof found;
    } catch {
      return;
    }
    const { vault, position, digest } = found;
    if (vault !== this.#options.vaultId || typeof position !== "number" || typeof digest !== "string") return;
    this.#options.known.adopt({ position, digest });
  }

  #schedule(): void {
    this.#timer = this.#options.clock.setTimer(everyMs, () => {
      this.#write();
      this.#schedule();
    });
  }

  #write(): void {
    const { known, vaultId: vault, onFailure } = this.#options;
    const { end } = known;
    if (end === undefined || end.position === this.#written) return;
    try {
      writeFileSync(`${this.#path}.new`, `${JSON.stringify({ vault, ...end })}\n`);
      renameSync(`${this.#path}.new`, this.#path);
      this.#written = end.position;
    } catch (error) {
      onFailure(`cannot note what is known of the vault: ${messageOf(error)}`);
    }
  }
}
