/**
 * The application's processes during one term: those with connections, one that moves files, one with an engine of its
 * own.
 */
import { randomUUID } from "node:crypto";
import { lstatSync, readlinkSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Worker } from "./child.ts";
import type { FileKey, Ledger } from "./ledger.ts";
import type { Actor, Connection, Filling, Mover } from "./program.ts";

/** What a process finds that opens a copy of the files. */
export interface Look {
  /** `ok`, or what is wrong. */
  readonly check: string;
  readonly ids: readonly number[];
}

interface OpenConnection {
  readonly connection: Connection;
  /** Undefined while it is opened. */
  readonly key: FileKey | undefined;
}

const busyMs = 200;
const tables = ["CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v)", "CREATE TABLE IF NOT EXISTS noise(v)"];
export const insertOf = (token: number, schema = "main"): string =>
  `INSERT INTO ${schema}.t VALUES (${token}, hex(randomblob(20)))`;

export class Processes {
  readonly #root: string;
  readonly #scratch: string;
  readonly #ledger: Ledger;
  readonly #workers = new Map<Actor | Mover | "engine", Worker>();
  readonly #open = new Map<string, OpenConnection>();
  #isClosed = false;
  /** Names that are being filled. */
  readonly filling = new Set<string>();

  constructor(root: string, scratch: string, ledger: Ledger) {
    this.#root = root;
    this.#scratch = scratch;
    this.#ledger = ledger;
  }

  /** Opens it unless it is open; the file that it has open. Rejects with what SQLite says. */
  async open(connection: Connection): Promise<FileKey> {
    const known = this.#open.get(connection.id);
    if (known?.key !== undefined) return known.key;
    const { id, actor, name, query, pragmas } = connection;
    const before = this.#ledger.keyAt(name);
    const others = this.connectionsTo(before);
    this.#open.set(id, { connection, key: undefined });
    await this.#worker(actor).ask({
      what: "open",
      connection: id,
      path: this.pathOf(name),
      query,
      busy_ms: busyMs,
      pragmas,
      tables,
    });
    const key = this.#ledger.keyAt(name);
    if (key === undefined) throw new Error("its file went away while it was opened");
    this.#open.set(id, { connection, key });
    if (this.filling.has(name)) this.#ledger.file(key).isRisky = true;
    // Again: two that were opened at the same time have not seen each other.
    others.push(...this.connectionsTo(key).filter((other) => other !== connection));
    if (others.length > 0 && [connection, ...others].some((other) => other.query !== "")) this.#mix(key);
    return key;
  }

  #mix(key: FileKey): void {
    Object.assign(this.#ledger.file(key), { isRisky: true, isMixed: true });
  }

  run({ id, actor }: Connection, statements: readonly string[]): Promise<unknown> {
    return this.#worker(actor).ask({ what: "sql", connection: id, statements });
  }

  ids({ id, actor }: Connection): Promise<readonly number[]> {
    return this.#worker(actor).ask({ what: "ids", connection: id }) as Promise<readonly number[]>;
  }

  async close({ id, actor }: Connection): Promise<void> {
    if (!this.#open.delete(id)) throw new Error("it is not open");
    await this.#worker(actor).ask({ what: "close", connection: id });
  }

  connectionsTo(key: FileKey | undefined): Connection[] {
    return key === undefined
      ? []
      : [...this.#open.values()].filter((open) => open.key === key).map(({ connection }) => connection);
  }

  /** A connection was opened, or is being opened, by this name or by a link to it: the log is beside the file. */
  isOpenAs(name: string): boolean {
    const path = linkedTo(this.pathOf(name));
    return [...this.#open.values()].some(({ connection }) => linkedTo(this.pathOf(connection.name)) === path);
  }

  /** What each connection sees, by file; those that do not answer at once say nothing. */
  async views(patienceMs: number): Promise<Map<FileKey, Set<number>>> {
    const views = new Map<FileKey, Set<number>>();
    const ask = async ({ connection, key }: OpenConnection): Promise<void> => {
      const ids = await Promise.race([
        this.ids(connection).catch(() => []),
        new Promise<readonly number[]>((resolve) => setTimeout(resolve, patienceMs, [])),
      ]);
      if (key !== undefined) views.set(key, new Set([...(views.get(key) ?? []), ...ids]));
    };
    await Promise.all([...this.#open.values()].map(ask));
    return views;
  }

  rename(mover: Mover, from: string, to: string, companions: boolean): Promise<unknown> {
    return this.#worker(mover).ask({ what: "rename", from: this.pathOf(from), to: this.pathOf(to), companions });
  }

  link(mover: Mover, from: string, to: string, symbolic: boolean): Promise<unknown> {
    const target = relative(dirname(this.pathOf(to)), this.pathOf(from));
    return this.#worker(mover).ask({ what: "link", from: this.pathOf(from), to: this.pathOf(to), target, symbolic });
  }

  remove(mover: Mover, name: string, suffixes: readonly string[]): Promise<unknown> {
    return this.#worker(mover).ask({ what: "remove", path: this.pathOf(name), suffixes });
  }

  async fill(mover: Mover, from: string, to: string, how: Filling): Promise<void> {
    const { pieces, pauseMs, preallocated, renamed, inPlace } = how;
    this.filling.add(to);
    try {
      await this.#worker(mover).ask({
        what: "fill",
        from,
        to: this.pathOf(to),
        pieces,
        pause_ms: pauseMs,
        preallocated,
        renamed,
        in_place: inPlace,
      });
    } finally {
      this.filling.delete(to);
    }
  }

  /** A database that is made elsewhere; its path. */
  async build(mover: Mover, token: number, pages: number): Promise<string> {
    const path = join(this.#scratch, `built-${randomUUID()}`);
    const noise = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${pages}) INSERT INTO noise SELECT randomblob(3900) FROM n`;
    await this.#worker(mover).ask({ what: "build", path, statements: [...tables, insertOf(token), noise] });
    return path;
  }

  async engine(name: string, token: number): Promise<void> {
    await this.#worker("engine").ask({
      what: "engine",
      path: this.pathOf(name),
      scratch: join(this.#scratch, "engine"),
      statements: [...tables, insertOf(token)],
    });
  }

  /** Undefined: there is no such file. `alone`: without the log that an earlier file of that name left. */
  async look(path: string, alone = false): Promise<Look | undefined> {
    return ((await this.#worker("files").ask({ what: "look", path, scratch: join(this.#scratch, "look"), alone })) ??
      undefined) as Look | undefined;
  }

  /** Beside the file of this name, not where a link leads. */
  hasLog(name: string): boolean {
    return ["-wal", "-journal"].some(
      (suffix) => (statSync(this.pathOf(name) + suffix, { throwIfNoEntry: false })?.size ?? 0) > 0,
    );
  }

  pathOf(name: string): string {
    return join(this.#root, name);
  }

  async kill(actor: Actor): Promise<void> {
    for (const [id, { connection }] of this.#open) if (connection.actor === actor) this.#open.delete(id);
    const worker = this.#workers.get(actor);
    this.#workers.delete(actor);
    await worker?.kill();
  }

  /** Kills them; a step that is still waiting begins no others. */
  async closeAll(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#workers.values()].map((worker) => worker.kill()));
    this.#workers.clear();
    this.#open.clear();
  }

  #worker(name: Actor | Mover | "engine"): Worker {
    let worker = this.#workers.get(name);
    if (worker === undefined) {
      if (this.#isClosed) throw new Error("its term is over");
      const [program, script] = name === "bun" ? [process.execPath, "application.ts"] : ["python3", "application.py"];
      this.#workers.set(name, (worker = new Worker(program, [join(import.meta.dirname, script)])));
    }
    return worker;
  }
}

/** Where links lead, whether something is there or not. */
function linkedTo(path: string, linksMax = 8): string {
  if (linksMax === 0 || lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return path;
  return linkedTo(resolve(dirname(path), readlinkSync(path)), linksMax - 1);
}
