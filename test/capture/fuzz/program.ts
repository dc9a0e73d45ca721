/**
 * What a seed draws: connections of an application to its databases, and steps with them and with the files. Pure: one
 * seed, one program.
 *
 * The names below `matching` are databases of the service, those in `outside` are not. Everything else is as odd as
 * applications are: other VFSs, exclusive mode, hard links, files that are renamed into their place while a process
 * writes into them.
 */
import { SeededRandom } from "../../../harness/seeded-random.ts";

export const patterns = ["*.db", "tenants/*.db"] as const;
export const matching = ["a.db", "b.db", "tenants/c.db", "tenants/d.db"] as const;
export const outside = ["work.tmp", "tenants/load.part"] as const;
export const names: readonly string[] = [...matching, ...outside];

/**
 * The processes of the application that hold connections; those that do without locks are in one of their own
 * (docs/CAPTURE.md says why).
 */
export const actors = ["python", "bun", "stranger"] as const;
export type Actor = (typeof actors)[number];

export interface Connection {
  readonly id: string;
  readonly actor: Actor;
  readonly name: string;
  /** Of the URI: another VFS, no locks. */
  readonly query: string;
  /** Run when it is opened; one that fails is left. */
  readonly pragmas: readonly string[];
}

export type Step =
  /** One transaction; `extra` are statements in it besides those that put the token in. */
  | {
      readonly kind: "write";
      readonly connection: Connection;
      readonly token: number;
      readonly extra: readonly string[];
    }
  /** A transaction that stays open for a moment, then commits or rolls back. */
  | {
      readonly kind: "transaction";
      readonly connection: Connection;
      readonly token: number;
      readonly pages: number;
      readonly pauseMs: number;
      readonly commits: boolean;
    }
  /** One transaction over two databases. */
  | { readonly kind: "attached"; readonly connection: Connection; readonly other: string; readonly token: number }
  | { readonly kind: "forget"; readonly connection: Connection }
  | { readonly kind: "read"; readonly connection: Connection }
  /** A statement outside of transactions: a checkpoint, VACUUM, another mode. */
  | { readonly kind: "statement"; readonly connection: Connection; readonly sql: string }
  | { readonly kind: "close"; readonly connection: Connection }
  | { readonly kind: "kill"; readonly actor: Actor }
  | { readonly kind: "rename"; readonly from: string; readonly to: string; readonly companions: boolean }
  | { readonly kind: "link"; readonly from: string; readonly to: string; readonly symbolic: boolean }
  | { readonly kind: "remove"; readonly name: string; readonly what: "file" | "companions" | "all" }
  /** `cp`, in one go or in pieces; `renamed`: to a name that no pattern matches, then renamed. */
  | { readonly kind: "copy"; readonly from: string; readonly to: string; readonly how: Filling }
  /** A database that comes from elsewhere, a download. */
  | {
      readonly kind: "load";
      readonly token: number;
      readonly to: string;
      readonly pages: number;
      readonly how: Filling;
    }
  | { readonly kind: "vacuum_into"; readonly connection: Connection; readonly to: string }
  /** A commit of an engine that writes SQLite's log and coordinates by files of its own. */
  | { readonly kind: "engine"; readonly name: string; readonly token: number }
  /** The host writes one. */
  | { readonly kind: "checkpoint" }
  | { readonly kind: "pause"; readonly ms: number }
  /** The primary and its application are killed; another host takes over. */
  | { readonly kind: "failover" };

export interface Filling {
  readonly pieces: number;
  readonly pauseMs: number;
  /** The file has its full size from the beginning. */
  readonly preallocated: boolean;
  readonly renamed: boolean;
  /** Over the file that is there, as `cp` does; otherwise that one is unlinked first. */
  readonly inPlace: boolean;
}

/** Processes that move files. */
export const movers = ["files", "more files"] as const;
export type Mover = (typeof movers)[number];

/** `waits`: the next step begins when this one is answered. `mover`: who does it, if it is about files. */
export interface Drawn {
  readonly step: Step;
  readonly mover: Mover;
  readonly waits: boolean;
}

/** `usage`: everything; `files`: tenants that come and go as files while others write. */
export type Profile = "usage" | "files";

export function drawProgram(seed: number, profile: Profile, length = profile === "usage" ? 26 : 14): readonly Drawn[] {
  const dice = new SeededRandom(`${profile}/${seed}`);
  const drawing = new Drawing(dice, profile);
  const steps = Array.from({ length }, () => drawing.next());
  return [...steps, { step: { kind: "failover" }, waits: true, mover: "files" }];
}

type Draw = () => Step;

class Drawing {
  readonly #dice: SeededRandom;
  readonly #profile: Profile;
  readonly #connections: Connection[] = [];
  #tokens = 0;
  #opened = 0;

  constructor(dice: SeededRandom, profile: Profile) {
    this.#dice = dice;
    this.#profile = profile;
    for (let i = dice.int(2, 3); i > 0; i--) this.#connections.push(this.#connect());
  }

  next(): Drawn {
    const dice = this.#dice;
    // Some programs change their connections often, as applications with one for each request do.
    if (dice.chance(0.12)) this.#connections[dice.int(0, this.#connections.length - 1)] = this.#connect();
    const step = this.#weighted(this.#profile === "usage" ? this.#usage() : this.#files());
    const waits = step.kind === "failover" || dice.chance(this.#profile === "usage" ? 0.75 : 0.5);
    return { step, waits, mover: this.#profile === "files" ? dice.pick(movers) : "files" };
  }

  #usage(): readonly (readonly [number, Draw])[] {
    return [
      [30, () => this.#write()],
      [6, () => this.#transaction()],
      [3, () => ({ kind: "attached", connection: this.#connection(), other: this.#name(), token: this.#token() })],
      [3, () => ({ kind: "forget", connection: this.#connection() })],
      [8, () => ({ kind: "read", connection: this.#connection() })],
      [10, () => ({ kind: "statement", connection: this.#connection(), sql: this.#statement() })],
      [5, () => ({ kind: "close", connection: this.#connection() })],
      [2, () => ({ kind: "kill", actor: this.#dice.pick(actors) })],
      [6, () => this.#rename()],
      [2, () => ({ kind: "link", from: this.#name(), to: this.#name(), symbolic: this.#dice.chance(0.5) })],
      [4, () => this.#remove()],
      [3, () => ({ kind: "copy", from: this.#name(), to: this.#name(), how: this.#filling() })],
      [3, () => this.#load()],
      [3, () => ({ kind: "vacuum_into", connection: this.#connection(), to: this.#dice.pick(matching) })],
      [3, () => ({ kind: "engine", name: this.#dice.pick(matching), token: this.#token() })],
      [3, () => ({ kind: "checkpoint" })],
      [6, () => ({ kind: "pause", ms: this.#dice.int(0, 150) })],
      [2, () => ({ kind: "failover" })],
    ];
  }

  #files(): readonly (readonly [number, Draw])[] {
    return [
      [30, () => this.#write()],
      [3, () => ({ kind: "close", connection: this.#connection() })],
      [12, () => this.#rename()],
      [10, () => this.#remove()],
      [12, () => ({ kind: "copy", from: this.#name(), to: this.#name(), how: this.#filling() })],
      [12, () => this.#load()],
      [6, () => ({ kind: "vacuum_into", connection: this.#connection(), to: this.#dice.pick(matching) })],
      [3, () => ({ kind: "checkpoint" })],
      [5, () => ({ kind: "pause", ms: this.#dice.int(0, 60) })],
    ];
  }

  #weighted(draws: readonly (readonly [number, Draw])[]): Step {
    let at = this.#dice.fraction() * draws.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, draw] of draws) {
      at -= weight;
      if (at < 0) return draw();
    }
    throw new Error("nothing was drawn");
  }

  #connect(): Connection {
    const dice = this.#dice;
    this.#opened += 1;
    const id = `c${this.#opened}`;
    const keeper = dice.pick(["python", "bun"] as const);
    if (this.#profile === "files")
      return { id, actor: keeper, name: this.#name(), query: "", pragmas: ["PRAGMA journal_mode=WAL"] };
    const query = dice.chance(0.25) ? dice.pick(["?vfs=unix-none", "?vfs=unix-dotfile", "?nolock=1"]) : "";
    const pragmas: string[] = [];
    if (dice.chance(query === "" ? 0.06 : 0.8)) pragmas.push("PRAGMA locking_mode=EXCLUSIVE");
    if (dice.chance(0.1)) pragmas.push(`PRAGMA page_size=${dice.pick([512, 1024, 16384, 65536])}`);
    if (dice.chance(0.1)) pragmas.push(`PRAGMA auto_vacuum=${dice.pick(["FULL", "INCREMENTAL"])}`);
    if (dice.chance(0.85)) pragmas.push("PRAGMA journal_mode=WAL");
    else if (dice.chance(0.5)) pragmas.push(`PRAGMA journal_mode=${dice.pick(["DELETE", "TRUNCATE", "PERSIST"])}`);
    if (dice.chance(0.2)) pragmas.push(`PRAGMA synchronous=${dice.pick(["OFF", "NORMAL", "FULL", "EXTRA"])}`);
    if (dice.chance(0.2)) pragmas.push(`PRAGMA wal_autocheckpoint=${dice.pick([0, 1, 5, 100])}`);
    if (dice.chance(0.2)) pragmas.push("PRAGMA cache_size=5");
    if (dice.chance(0.15)) pragmas.push("PRAGMA mmap_size=67108864");
    if (dice.chance(0.1)) pragmas.push("PRAGMA secure_delete=ON");
    return { id, actor: query === "" ? keeper : "stranger", name: this.#name(), query, pragmas };
  }

  #connection(): Connection {
    return this.#dice.pick(this.#connections);
  }

  #name(): string {
    return this.#dice.chance(0.25) ? this.#dice.pick(outside) : this.#dice.pick(matching);
  }

  #token(): number {
    this.#tokens += 1;
    return this.#tokens;
  }

  #write(): Step {
    const dice = this.#dice;
    const extra: string[] = [];
    if (dice.chance(0.15)) extra.push(`INSERT INTO noise SELECT randomblob(${dice.int(10, 9000)})`);
    if (dice.chance(0.1)) extra.push("DELETE FROM noise");
    if (dice.chance(0.08)) extra.push(`CREATE TABLE IF NOT EXISTS more_${dice.int(1, 3)}(x UNIQUE)`);
    if (dice.chance(0.08))
      extra.push(
        `CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text)`,
        "INSERT INTO words VALUES (hex(randomblob(40)))",
      );
    return { kind: "write", connection: this.#connection(), token: this.#token(), extra };
  }

  #transaction(): Step {
    const dice = this.#dice;
    return {
      kind: "transaction",
      connection: this.#connection(),
      token: this.#token(),
      pages: dice.pick([0, 3, 60]),
      pauseMs: dice.int(0, 80),
      commits: dice.chance(0.7),
    };
  }

  #statement(): string {
    const dice = this.#dice;
    if (dice.chance(0.6)) return `PRAGMA wal_checkpoint(${dice.pick(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])})`;
    return dice.pick([
      "VACUUM",
      "PRAGMA incremental_vacuum",
      "PRAGMA journal_mode=DELETE",
      "PRAGMA journal_mode=WAL",
      "PRAGMA locking_mode=EXCLUSIVE",
      "PRAGMA locking_mode=NORMAL",
      "PRAGMA optimize",
      "REINDEX",
    ]);
  }

  #rename(): Step {
    const dice = this.#dice;
    // Most often a file that was made under a name of its own comes to its place.
    const from = dice.chance(0.5) ? dice.pick(outside) : this.#name();
    return {
      kind: "rename",
      from,
      to: dice.chance(0.7) ? dice.pick(matching) : this.#name(),
      companions: dice.chance(0.2),
    };
  }

  #remove(): Step {
    const dice = this.#dice;
    return {
      kind: "remove",
      name: this.#name(),
      what: dice.chance(0.1) ? "companions" : dice.pick(["file", "all", "all"] as const),
    };
  }

  #load(): Step {
    return {
      kind: "load",
      token: this.#token(),
      to: this.#name(),
      pages: this.#dice.pick([1, 20, 300]),
      how: this.#filling(),
    };
  }

  #filling(): Filling {
    const dice = this.#dice;
    return {
      pieces: dice.pick([1, 1, 4, 12]),
      pauseMs: dice.pick([0, 1, 15]),
      preallocated: dice.chance(0.4),
      renamed: dice.chance(0.3),
      inPlace: dice.chance(0.2),
    };
  }
}

/** One line for each step. */
export function describe({ step, waits, mover }: Drawn): string {
  const shown = Object.entries(step)
    .filter(([key]) => key !== "kind")
    .map(
      ([key, value]) => `${key}=${key === "connection" ? shownConnection(value as Connection) : JSON.stringify(value)}`,
    );
  return `${waits ? " " : "&"} ${step.kind} ${shown.join(" ")}${mover !== "files" && ("from" in step || "to" in step || "name" in step) ? ` (by ${mover})` : ""}`;
}

const shownConnection = ({ id, actor, name, query, pragmas }: Connection): string =>
  `${id}[${actor} ${name}${query} ${pragmas.map((text) => text.replace("PRAGMA ", "")).join(" ")}]`;
