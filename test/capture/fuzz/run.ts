/**
 * Runs one program: an application of real processes, a primary that captures it, a failover whenever the primary ends,
 * and the judgement.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type FileKey, Ledger } from "./ledger.ts";
import { type Evidence, judge, type Violation } from "./judge.ts";
import { Primary } from "./primary.ts";
import {
  type Connection,
  describe,
  type Drawn,
  type Filling,
  matching,
  type Mover,
  names,
  outside,
  patterns,
  type Step,
} from "./program.ts";
import { insertOf, type Look, Processes } from "./processes.ts";

export interface RunOptions {
  /** Of the sources under test. */
  readonly src: string;
  /** An empty folder. */
  readonly folder: string;
  readonly onLine?: (line: string) => void;
}

export interface Run {
  readonly violations: readonly Violation[];
  /** The program with what came of each step. */
  readonly lines: readonly string[];
  readonly acknowledged: number;
  readonly failovers: number;
  /** Why primaries gave up by themselves. */
  readonly refusals: readonly string[];
}

/** Answers that are not released by then are left behind: the next step begins. */
const holdMs = 400;
/** Of capture: how long something may stay uncaptured. */
const patienceMs = 600;
const viewMs = 400;
/** A step that an application does not answer, because it is locked, is left behind. */
const stepMs = 1_500;

/** What a step did, when it did it. */
interface Done {
  readonly tokens?: readonly (readonly [FileKey, number])[];
  /** Seen, or brought by a file: acknowledged with the answer. */
  readonly seen?: readonly (readonly [FileKey, readonly number[]])[];
  readonly forgotten?: readonly [FileKey, number];
  readonly nameless?: boolean;
}

export class Runner {
  readonly #options: RunOptions;
  readonly #violations: Violation[] = [];
  readonly #lines: string[] = [];
  readonly #refusals: string[] = [];
  /** Steps of one connection, and those of files, go one after the other. */
  readonly #chains = new Map<string, Promise<unknown>>();
  #term = 0;
  #acknowledged = 0;
  #primary: Primary | undefined;
  #processes!: Processes;
  #ledger!: Ledger;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async run(program: readonly Drawn[]): Promise<Run> {
    const { folder } = this.#options;
    mkdirSync(join(folder, "scratch"));
    try {
      if (!(await this.#begin(this.#startPrimary()))) return this.#result();
      for (const drawn of program) {
        if (this.#primary?.ended !== undefined && drawn.step.kind !== "failover") {
          this.#say(`  the primary ended: ${this.#primary.ended}`);
          this.#refusals.push(this.#primary.ended);
          if (!(await this.#failover())) break;
        }
        if (drawn.step.kind === "failover") {
          this.#say(describe(drawn));
          if (!(await this.#failover())) break;
        } else {
          const running = this.#perform(drawn);
          if (drawn.waits) await running;
        }
      }
      return this.#result();
    } finally {
      await Promise.all([this.#primary?.kill(), this.#processes.closeAll()]);
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #result(): Run {
    return {
      violations: this.#violations,
      lines: this.#lines,
      acknowledged: this.#acknowledged,
      failovers: this.#term - 1,
      refusals: this.#refusals,
    };
  }

  #say(line: string): void {
    this.#lines.push(line);
    this.#options.onLine?.(line);
  }

  get #root(): string {
    return join(this.#options.folder, `host-${this.#term}`);
  }

  #startPrimary(): Primary {
    this.#term += 1;
    mkdirSync(join(this.#root, "tenants"), { recursive: true });
    const { src, folder } = this.#options;
    return new Primary({
      src,
      root: this.#root,
      vault: join(folder, "vault"),
      patterns,
      host: `host-${this.#term}`,
      isFirst: this.#term === 1,
      patienceMs,
    });
  }

  /** False when the run cannot continue. */
  async #begin(primary: Primary): Promise<boolean> {
    this.#primary = primary;
    this.#ledger = new Ledger(this.#root);
    this.#processes = new Processes(this.#root, join(this.#options.folder, "scratch"), this.#ledger);
    try {
      await primary.restored();
    } catch (error) {
      this.#violations.push({ kind: "not_applicable", text: textOf(error) });
      if (primary.damage.length === 0)
        this.#violations.push({ kind: "disagree", text: "a verification of the vault finds nothing" });
      return false;
    }
    for (const text of primary.damage)
      this.#violations.push({ kind: "disagree", text: `hosts can apply it all, and a verification says: ${text}` });
    for (const [name, { ids, check }] of await this.#lookAt()) {
      const key = this.#ledger.keyAt(name);
      if (key === undefined) continue;
      if (check !== "ok") {
        this.#say(`  begins with ${name}: ${check}`);
        // Damaged by the application in an earlier term: what SQLite does with it is undefined.
        Object.assign(this.#ledger.file(key), { isRisky: true, isMixed: true });
      }
      for (const token of ids) this.#ledger.file(key).tokens.set(token, { by: "restored", nameless: false });
    }
    try {
      await primary.serve();
      this.#ledger.acknowledge(this.#ledger.look());
      return true;
    } catch (error) {
      this.#violations.push({ kind: "cannot_begin", text: textOf(error) });
      return false;
    }
  }

  async #failover(): Promise<boolean> {
    const ledger = this.#ledger;
    for (const warning of this.#primary?.warnings ?? []) this.#say(`  warning: ${warning}`);
    const views = await this.#processes.views(viewMs);
    ledger.look();
    await Promise.all([this.#primary?.kill(), this.#processes.closeAll()]);
    // Released before the kill, and heard after it.
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(this.#chains.values());
    this.#chains.clear();
    ledger.look();
    const finder = new Processes(this.#root, join(this.#options.folder, "scratch"), ledger);
    const left = await this.#lookAt(finder);
    await finder.closeAll();
    const next = this.#startPrimary();
    this.#primary = next;
    try {
      await next.restored();
    } catch {
      return this.#begin(next);
    }
    const scratch = new Processes(this.#root, join(this.#options.folder, "scratch"), ledger);
    const evidence: Evidence = { views, left, restored: await this.#lookAt(scratch) };
    await scratch.closeAll();
    const found = judge(ledger, evidence);
    for (const { kind, text } of found) this.#say(`  VIOLATION ${kind}: ${text}`);
    this.#violations.push(...found);
    return this.#begin(next);
  }

  /** Every database of the folder, as a process finds it that opens a copy of its files. */
  async #lookAt(processes = this.#processes): Promise<Map<string, Look>> {
    const looks = new Map<string, Look>();
    for (const name of matching) {
      const look = await processes.look(processes.pathOf(name)).catch(() => undefined);
      if (look !== undefined) looks.set(name, look);
    }
    return looks;
  }

  async #perform(drawn: Drawn): Promise<void> {
    const { step, mover } = drawn;
    const lane = laneOf(drawn);
    const before = this.#chains.get(lane) ?? Promise.resolve();
    // The next step in this lane waits for the work, however late: between the parts of a transaction it would see what
    // is not committed yet.
    const work = before.then(() => this.#doAndAnswer(step, mover));
    this.#chains.set(lane, work);
    const outcome = Promise.race([work, new Promise<string>((resolve) => setTimeout(resolve, stepMs, "no answer"))]);
    this.#say(`${describe(drawn)}: ${await outcome}`);
  }

  async #doAndAnswer(step: Step, mover: Mover): Promise<string> {
    const ledger = this.#ledger;
    let done: Done;
    try {
      done = await this.#do(step, mover);
    } catch (error) {
      ledger.look();
      return textOf(error);
    }
    if (step.kind === "kill" || step.kind === "pause") return "done";
    const scene = ledger.look();
    const gate = (this.#primary as Primary).gate().then((answer) => {
      if (!answer.released) return `refused (${answer.error.slice(0, 100)})`;
      ledger.acknowledge(scene);
      this.#acknowledge(ledger, step, done);
      return "released";
    });
    return Promise.race([gate, new Promise<string>((resolve) => setTimeout(resolve, holdMs, "held"))]);
  }

  #acknowledge(ledger: Ledger, step: Step, { tokens = [], seen = [], forgotten, nameless = false }: Done): void {
    const by = `${step.kind}${"connection" in step ? ` by ${step.connection.id}` : ""}`;
    const note = (key: FileKey, token: number): void => {
      const file = ledger.file(key);
      if (file.dropped.has(token) || file.tokens.has(token)) return;
      file.tokens.set(token, { by, nameless });
      this.#acknowledged += 1;
    };
    for (const [key, token] of tokens) note(key, token);
    for (const [key, ids] of seen) for (const token of ids) note(key, token);
    if (forgotten !== undefined) ledger.file(forgotten[0]).forgotten.add(forgotten[1]);
  }

  async #do(step: Step, mover: Mover): Promise<Done> {
    const processes = this.#processes;
    switch (step.kind) {
      case "write":
        return this.#transact(step.connection, step.token, step.extra, 0, true);
      case "transaction": {
        const pages = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${step.pages}) INSERT INTO noise SELECT randomblob(3900) FROM n`;
        return this.#transact(step.connection, step.token, step.pages === 0 ? [] : [pages], step.pauseMs, step.commits);
      }
      case "attached":
        return this.#attached(step.connection, step.other, step.token);
      case "forget":
        return this.#forget(step.connection);
      case "read": {
        const key = await processes.open(step.connection);
        return { seen: [[key, await processes.ids(step.connection)]] };
      }
      case "statement":
        await processes.open(step.connection);
        await processes.run(step.connection, [step.sql]);
        return {};
      case "close":
        await processes.close(step.connection);
        return {};
      case "kill":
        await processes.kill(step.actor);
        return {};
      case "vacuum_into": {
        await processes.open(step.connection);
        const made = `${step.to}.vacuum~`;
        await processes.remove(mover, made, [""]);
        await processes.run(step.connection, [`VACUUM INTO '${processes.pathOf(made)}'`]);
        await this.#replace(step.to, () => processes.rename(mover, made, step.to, false));
        return this.#brought(step.to);
      }
      case "engine": {
        const key = this.#ledger.keyAt(step.name);
        if (key === undefined) throw new Error("no such file");
        Object.assign(this.#ledger.file(key), { isRisky: true, isMixed: true });
        const nameless = this.#ledger.isNameless(key, step.name);
        await processes.engine(step.name, step.token);
        return { tokens: [[key, step.token]], nameless };
      }
      case "checkpoint": {
        const { released } = await (this.#primary as Primary).checkpoint();
        return released ? {} : Promise.reject(new Error("refused"));
      }
      case "pause":
        await new Promise((resolve) => setTimeout(resolve, step.ms));
        return {};
      case "failover":
        return {};
      default:
        return this.#doFiles(step, mover);
    }
  }

  async #doFiles(
    step: Extract<Step, { kind: "rename" | "link" | "remove" | "copy" | "load" }>,
    mover: Mover,
  ): Promise<Done> {
    const processes = this.#processes;
    switch (step.kind) {
      case "rename":
        this.#risk(step.from, this.#leavesLog(step) ? "always" : "while it is open");
        await this.#replace(step.to, () => processes.rename(mover, step.from, step.to, step.companions));
        return {};
      case "link":
        if (!step.symbolic) this.#risk(step.from, "always");
        await processes.link(mover, step.from, step.to, step.symbolic);
        return {};
      case "remove":
        if (step.what !== "all") this.#risk(step.name, "always");
        await processes.remove(
          mover,
          step.name,
          { file: [""], companions: ["-wal", "-shm", "-journal"], all: ["", "-wal", "-shm", "-journal"] }[step.what],
        );
        return {};
      case "copy":
        if (step.how.inPlace) this.#risk(step.to, "always");
        await this.#replace(step.to, () => processes.fill(mover, processes.pathOf(step.from), step.to, step.how));
        return this.#brought(step.to, step.how);
      case "load": {
        if (step.how.inPlace) this.#risk(step.to, "always");
        const built = await processes.build(mover, step.token, step.pages);
        await this.#replace(step.to, () => processes.fill(mover, built, step.to, step.how));
        return this.#brought(step.to, step.how);
      }
    }
  }

  /** Another file comes to a name. Beside one that is open, it gets the log of the file before, also without stead. */
  async #replace(name: string, work: () => Promise<unknown>): Promise<void> {
    const wasOpen = this.#processes.isOpenAs(name);
    await work();
    if (wasOpen || this.#processes.isOpenAs(name)) this.#risk(name, "always");
  }

  /**
   * A killed process left a log beside a file that is no database of the service, and the rename leaves it behind: what
   * is in that log is lost, with and without stead. (The log of a captured database is the host's.)
   */
  #leavesLog({ from, companions }: { readonly from: string; readonly companions: boolean }): boolean {
    return !companions && (outside as readonly string[]).includes(from) && this.#processes.hasLog(from);
  }

  #risk(name: string, when: "always" | "while it is open"): void {
    const key = this.#ledger.keyAt(name);
    if (key !== undefined && (when === "always" || this.#processes.connectionsTo(key).length > 0))
      this.#ledger.file(key).isRisky = true;
  }

  /**
   * A file that came as a whole: its content is acknowledged with the answer. When it was copied over the file in its
   * place, the log there still counts.
   */
  async #brought(name: string, how?: Filling): Promise<Done> {
    if (how?.inPlace === true) return {};
    const key = this.#ledger.keyAt(name);
    const look = key === undefined ? undefined : await this.#processes.look(this.#processes.pathOf(name), true);
    if (key === undefined || look === undefined || key !== this.#ledger.keyAt(name)) return {};
    if (look.check !== "ok") this.#ledger.file(key).isRisky = true;
    return look.check === "ok" ? { seen: [[key, look.ids]] } : {};
  }

  async #transact(
    connection: Connection,
    token: number,
    extra: readonly string[],
    pauseMs: number,
    commits: boolean,
  ): Promise<Done> {
    const processes = this.#processes;
    const key = await processes.open(connection);
    const nameless = this.#ledger.isNameless(key, connection.name);
    try {
      await processes.run(connection, ["BEGIN IMMEDIATE", insertOf(token), ...extra]);
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      await processes.run(connection, [commits ? "COMMIT" : "ROLLBACK"]);
    } catch (error) {
      await processes.run(connection, ["ROLLBACK"]).catch(() => undefined);
      throw error;
    }
    return commits ? { tokens: [[key, token]], nameless } : {};
  }

  async #attached(connection: Connection, other: string, token: number): Promise<Done> {
    const processes = this.#processes;
    const key = await processes.open(connection);
    const nameless = this.#ledger.isNameless(key, connection.name);
    await processes.run(connection, [`ATTACH '${processes.pathOf(other)}' AS other`]);
    try {
      await processes.run(connection, ["CREATE TABLE IF NOT EXISTS other.t(id INTEGER PRIMARY KEY, v)"]);
      const otherKey = this.#ledger.keyAt(other);
      if (connection.query !== "")
        for (const risky of [key, otherKey])
          if (risky !== undefined) Object.assign(this.#ledger.file(risky), { isRisky: true, isMixed: true });
      if (otherKey === undefined || otherKey === key || names.indexOf(other) < 0)
        throw new Error("the other one is gone, or the same");
      const otherNameless = this.#ledger.isNameless(otherKey, other);
      await processes.run(connection, ["BEGIN IMMEDIATE", insertOf(token), insertOf(token, "other"), "COMMIT"]);
      return {
        tokens: [
          [key, token],
          [otherKey, token],
        ],
        nameless: nameless || otherNameless,
      };
    } catch (error) {
      await processes.run(connection, ["ROLLBACK"]).catch(() => undefined);
      throw error;
    } finally {
      await processes.run(connection, ["DETACH other"]).catch(() => undefined);
    }
  }

  async #forget(connection: Connection): Promise<Done> {
    const key = await this.#processes.open(connection);
    const file = this.#ledger.file(key);
    const [token] = file.tokens.keys();
    if (token === undefined) throw new Error("nothing was acknowledged there");
    file.tokens.delete(token);
    file.dropped.add(token);
    await this.#processes.run(connection, [`DELETE FROM t WHERE id=${token}`]);
    return { forgotten: [key, token] };
  }
}

/** Steps in one lane do not overlap. */
function laneOf({ step, mover }: Drawn): string {
  if ("connection" in step) return step.connection.id;
  return step.kind === "engine" || step.kind === "checkpoint" || step.kind === "kill" ? step.kind : mover;
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
