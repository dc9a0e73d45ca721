/**
 * Operators' calls about single databases (`stead databases`): listing them with their condition, and excluding one
 * from capture until it is included again.
 *
 * Exclusion handles a fault: one file that cannot be captured holds every response of the service. Held responses are
 * released with the next flush, since stead no longer has to keep the file's commits. The exclusion is durable in the
 * vault before anything is released, because the next primary would meet the same file again. A database in the journal
 * is covered by the promise to keep it: it is excluded only with `force`, and then removed from the journal like one
 * that the application deletes; its last captured state stays readable in the history (`stead vault restore
 * --position`) for the retention window. The file itself is not touched on this host.
 */
import type { DatabaseChange, DatabaseEntry, DatabaseList } from "../../control/databases.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { Exclusions } from "../ports/exclusions.ts";
import type { Warnings } from "../ports/warnings.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { CaptureSource, Outcome } from "../ports/ports.ts";

const databasesShown = 1000;
/** Largest number named in an error. */
const namedMax = 5;

export interface DatabaseDeskOptions {
  /** undefined: this host has no way to leave single databases out. */
  readonly exclusions: Exclusions | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly warnings: Pick<Warnings, "warn" | "over">;
  /** Of the term, when there is one. */
  readonly source: () => CaptureSource | undefined;
  /** Names of the databases that this host follows as a secondary; undefined: it is not one. */
  readonly followed: () => Iterable<string> | undefined;
  /** Position of the last record that this host knows; 0: none. */
  readonly position: () => number;
}

export class DatabaseDesk {
  readonly #options: DatabaseDeskOptions;

  constructor(options: DatabaseDeskOptions) {
    this.#options = options;
  }

  list(): DatabaseList {
    const { clock, exclusions, source, followed } = this.#options;
    const captured = source();
    const entries = new Map<string, DatabaseEntry>();
    const add = (entry: Pick<DatabaseEntry, "name" | "condition"> & Partial<DatabaseEntry>): void =>
      void entries.set(entry.name, { forMs: null, reason: null, advice: null, ...entry });
    for (const { name, host, atMs } of exclusions?.list ?? []) {
      add({
        name,
        condition: "excluded",
        forMs: Math.max(0, clock.wallTime() - atMs),
        reason: `excluded by an operator on ${host}: what is written there is not there after a failover`,
        advice: `\`stead databases include ${name}\` when it can be captured`,
      });
    }
    for (const { name, reason, advice = "", sinceMs } of captured?.uncaptured?.() ?? []) {
      if (!entries.has(name))
        add({
          name,
          condition: "held",
          forMs: clock.now() - sinceMs,
          reason,
          advice: `${advice} ${excludeAdvice(name)}`.trim(),
        });
    }
    for (const { name, reason } of captured?.leftOut?.() ?? [])
      if (!entries.has(name)) add({ name, condition: "left-out", reason });
    const condition = captured === undefined ? "followed" : "captured";
    const others = [...(captured === undefined ? (followed() ?? []) : (captured.names?.() ?? []))]
      .filter((name) => !entries.has(name))
      .sort();
    const total = entries.size + others.length;
    const first = [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const name of others.slice(0, databasesShown)) add({ name, condition });
    return { total, databases: [...first, ...[...entries.values()].slice(first.length)] };
  }

  /**
   * Without `force` refuses a database in the journal, and one that the primary does not have: a misspelt name would
   * release nothing.
   */
  async exclude({ name, force = false }: DatabaseChange): Promise<Outcome<DatabaseList>> {
    const { exclusions, log, position } = this.#options;
    if (exclusions === undefined) return refused("this host cannot exclude single databases");
    const isJournaled = this.#isJournaled(name);
    if (!force && !exclusions.names.has(name) && isJournaled !== false)
      return refused(isJournaled === undefined ? notKnown : isInTheJournal(name, position()));
    if (!force && this.#isUnheardOf(name))
      return refused(
        `there is no database ${name} here; ${this.#describeFaulty()}; with --force it is excluded all the same, and left out when it appears`,
      );
    return this.#change(async () => {
      if (await exclusions.exclude(name))
        log.warn("an operator excluded a database: it is no longer captured", { database: name, forced: force });
      return undefined;
    });
  }

  include({ name }: DatabaseChange): Promise<Outcome<DatabaseList>> {
    const { exclusions, log } = this.#options;
    if (exclusions === undefined) return Promise.resolve(refused("this host cannot exclude single databases"));
    return this.#change(async () => {
      if (!(await exclusions.include(name)))
        return `${name} is not excluded; excluded are: ${shorten([...exclusions.names])}`;
      log.info("an operator included a database again", { database: name });
      return undefined;
    });
  }

  /** Rereads the list before databases are opened. Throws the vault's errors. */
  async refresh(): Promise<void> {
    await this.#options.exclusions?.refresh();
    this.#tell();
  }

  /** `act` returns why it changes nothing. */
  async #change(act: () => Promise<string | undefined>): Promise<Outcome<DatabaseList>> {
    try {
      const reason = await act();
      if (reason !== undefined) return refused(reason);
    } catch (error) {
      return refused(`the vault does not take it: ${messageOf(error)}`);
    }
    this.#tell();
    return { kind: "done", done: this.list() };
  }

  /** Only a primary sees files that are not captured. */
  #isUnheardOf(name: string): boolean {
    return this.#options.source() !== undefined && !this.list().databases.some((each) => each.name === name);
  }

  #describeFaulty(): string {
    const names = this.list().databases.flatMap(({ name, condition }) =>
      condition === "held" || condition === "left-out" ? [name] : [],
    );
    return `not captured are: ${shorten(names)}`;
  }

  /** Undefined: this host is between two stages, and does not know. */
  #isJournaled(name: string): boolean | undefined {
    const { source, followed, position } = this.#options;
    const names = source()?.names?.() ?? followed();
    if (names === undefined) return position() === 0 ? false : undefined;
    for (const known of names) if (known === name) return true;
    return false;
  }

  #tell(): void {
    const { exclusions, warnings } = this.#options;
    const names = [...(exclusions?.names ?? [])];
    if (names.length === 0) return warnings.over("excluded databases");
    warnings.warn(
      `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}: excluded by an operator, not captured: its writes are missing after a failover (\`stead databases\`)`,
      "excluded databases",
    );
  }
}

const shorten = (names: readonly string[]): string =>
  names.length === 0
    ? "none"
    : `${names.slice(0, namedMax).join(", ")}${names.length > namedMax ? ` and ${names.length - namedMax} more` : ""}`;

const excludeAdvice = (name: string): string =>
  `\`stead databases exclude ${name}\` excludes it and releases the waiting responses.`;

const notKnown =
  "this host is between two stages and cannot tell whether the journal has it; try again in a moment, or use --force";

const isInTheJournal = (name: string, position: number): string =>
  `${name} is captured: excluding it removes it from the journal, and from every other host; --force does so, and its last captured state stays readable at position ${position} (\`stead vault restore --position ${position}\`). A failover keeps it instead: the next primary starts from what was captured`;

const refused = (reason: string): Outcome<never> => ({ kind: "refused", refusal: { kind: "not_ready", reason } });
