/**
 * The cluster's secrets as a running process has them: usually one, and while it is rotated two, the new one first. The
 * file is looked at every second, as certificates are; a former secret ends at its time by itself.
 *
 * A file that cannot be used changes nothing: the previous secrets stay, and the operator is told. A secret that is not
 * from a file stays as long as the process.
 */
import type { Clock, Timer } from "../runtime/clock.ts";
import { filesState } from "../runtime/files-state.ts";
import type { Logger } from "../runtime/log.ts";
import { formatSecrets, type FormerSecret, readSecrets, type Secrets } from "./secret.ts";
import type { SecretSource } from "./types.ts";

const lookMs = 1_000;

export interface ClusterSecretsOptions {
  /** As the configuration was read. */
  readonly secret: string;
  readonly from: SecretSource | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ClusterSecrets {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #users = new Set<(secrets: readonly string[]) => void>();
  #from: SecretSource | undefined;
  #seen = "";
  #read: Secrets;
  #valid: readonly string[];
  #timer: Timer | undefined;
  /** Why the present file is not in use; undefined if it is. */
  #defect: string | undefined;

  constructor({ secret, from, clock, log }: ClusterSecretsOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#from = from;
    this.#read = { secret, former: undefined };
    this.#valid = [secret];
    this.#look(false);
  }

  /** Looks at the file from now on, until `close`. */
  watch(): this {
    this.#lookLater();
    return this;
  }

  /** The valid ones, the one to call with first. */
  get valid(): readonly string[] {
    return this.#valid;
  }

  /** Undefined: none is valid besides the first. */
  get former(): FormerSecret | undefined {
    return this.#valid.length > 1 ? this.#read.former : undefined;
  }

  get from(): SecretSource | undefined {
    return this.#from;
  }

  /** Where an operator finds it. */
  get place(): string {
    if (this.#from === undefined) return "given by the program";
    return this.#from.kind === "environment"
      ? "the environment (STEAD_SECRET, or a variable in the configuration), which is read at the start only"
      : this.#from.path;
  }

  /** What operators are told. */
  get warnings(): readonly string[] {
    const { former } = this.#read;
    const path = this.#from?.kind === "file" ? this.#from.path : undefined;
    return [
      ...(this.#defect === undefined ? [] : [this.#defect]),
      ...(former !== undefined && this.former === undefined && path !== undefined
        ? [
            `${path} still has the former secret, which has ended at ${new Date(former.untilMs).toISOString()}: remove its line, or run \`stead secret rotate\``,
          ]
        : []),
    ];
  }

  /** Calls `use` with the secrets now, and whenever others are valid. Returns how to end that. */
  use(use: (secrets: readonly string[]) => void): () => void {
    this.#users.add(use);
    use(this.#valid);
    return () => this.#users.delete(use);
  }

  /** The configuration names this source from now on. */
  follow(from: SecretSource | undefined): void {
    this.#from = from;
    this.#seen = "";
    this.look();
  }

  /** Looks at the file now. */
  look(): void {
    this.#look(true);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#users.clear();
  }

  #look(isTold: boolean): void {
    const path = this.#from?.kind === "file" ? this.#from.path : undefined;
    const now = path === undefined ? "" : filesState([path]);
    if (path !== undefined && now !== this.#seen) this.#readFile(path, now, isTold);
    const { secret, former } = this.#read;
    const isFormerValid = former !== undefined && this.#clock.wallTime() < former.untilMs;
    const valid = isFormerValid ? [secret, former.secret] : [secret];
    if (valid.join("\n") === this.#valid.join("\n")) return;
    this.#valid = valid;
    for (const use of this.#users) use(valid);
  }

  #readFile(path: string, state: string, isTold: boolean): void {
    const read = readSecrets(path);
    if (read.kind === "invalid") {
      const { found, accepted, advice } = read.said;
      const defect = `the secret file ${path} cannot be used, the previous secret stays: ${found}; accepted: ${accepted}; ${advice}`;
      if (this.#defect !== defect) this.#log.error(defect);
      this.#defect = defect;
      return;
    }
    this.#seen = state;
    this.#defect = undefined;
    const isChanged = formatSecrets(read.secrets) !== formatSecrets(this.#read);
    this.#read = read.secrets;
    const { former } = read.secrets;
    if (isTold && isChanged)
      this.#log.info("secret of the cluster reloaded", {
        file: path,
        former: former === undefined ? "none" : `valid until ${new Date(former.untilMs).toISOString()}`,
      });
  }

  #lookLater(): void {
    this.#timer = this.#clock.setTimer(lookMs, () => {
      this.look();
      if (this.#timer !== undefined) this.#lookLater();
    });
  }
}
