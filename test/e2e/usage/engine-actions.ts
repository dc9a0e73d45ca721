/**
 * What an application does with SQLite and its files, and the applications that do it: one for each SQLite library, all
 * of them told in JSON.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type EngineName as InstalledName, findEngine } from "../../../scripts/lib/engines.ts";
import { findRuntime } from "../../../scripts/lib/runtimes.ts";

/**
 * Names are in the data folder, each character of one is a byte. In lists that are repeated `$i` is the number of the
 * round.
 */
export type Action =
  /** `query` of a URI, where the library takes one; `as`: what the connection is called. */
  | { readonly open: string; readonly as?: string; readonly query?: string; readonly timeoutMs?: number }
  | { readonly exec: string; readonly on?: string }
  /** The first column of each row. */
  | { readonly all: string; readonly on?: string }
  | { readonly close: string }
  /** So many times, again and again until it is let; how often it was kept out. */
  | { readonly hasty: string; readonly times: number; readonly on?: string }
  | { readonly each: number; readonly run: readonly Action[] }
  | { readonly rename: readonly [string, string] }
  | { readonly renameIfThere: readonly [string, string] }
  | { readonly link: readonly [string, string] }
  /** The first is the target, as it stands in the link. */
  | { readonly symlink: readonly [string, string] }
  | { readonly text: string; readonly to: string }
  /** Those that are there. */
  | { readonly remove: readonly string[] }
  /** Begins a file of so many zeros, and keeps it open for the parts that are copied into it, until it is released. */
  | { readonly allocate: string; readonly bytes: number }
  | { readonly part: string; readonly from: string; readonly at: number; readonly bytes: number }
  | { readonly release: string }
  | { readonly cp: readonly [string, string] }
  /**
   * Does the same in another process, beside; `join` waits for its end and has its result, or what it printed as its
   * error.
   */
  | { readonly child: string; readonly run: readonly Action[] }
  | { readonly join: string }
  /** The application ends once this request is answered. */
  | { readonly exit: true };

export const engineNames = [
  "Python sqlite3",
  "node:sqlite",
  "better-sqlite3",
  "bun:sqlite",
  "libsql",
  "@tursodatabase/database",
] as const;
export type EngineName = (typeof engineNames)[number];

export interface Engine {
  readonly name: EngineName;
  readonly command: readonly [string, ...string[]];
  /** Why it cannot be tried here. */
  readonly missing: string | undefined;
}

type Runtime =
  | { readonly kind: "found"; readonly command: readonly [string, ...string[]] }
  | { readonly kind: "missing"; readonly why: string };

export const engines: readonly Engine[] = [
  python(),
  inJavaScript("node:sqlite", findRuntime("node")),
  installed("better-sqlite3"),
  inJavaScript("bun:sqlite", { kind: "found", command: [process.execPath] }),
  inJavaScript("libsql", onPath("node")),
  installed("@tursodatabase/database"),
];

/** With the interpreter's own path: a version manager's shim would add its own start to every start. */
function python(): Engine {
  const { status, stdout } = spawnSync("python3", ["-c", "import sqlite3, sys; print(sys.executable)"], {
    encoding: "utf8",
  });
  const missing = status === 0 ? undefined : "no python3 with sqlite3 is on the PATH";
  return {
    name: "Python sqlite3",
    command: [missing === undefined ? stdout.trim() : "python3", join(import.meta.dirname, "engine_application.py")],
    missing,
  };
}

function inJavaScript(name: EngineName, runtime: Runtime, module: string = name): Engine {
  const script = join(import.meta.dirname, "engine-application.mjs");
  return runtime.kind === "missing"
    ? { name, command: ["node"], missing: runtime.why }
    : { name, command: [...runtime.command, script, name, module], missing: undefined };
}

function installed(name: InstalledName): Engine {
  const module = findEngine(name);
  return inJavaScript(
    name,
    module === undefined
      ? { kind: "missing", why: `no ${name} is here: ./scripts/engines installs it` }
      : onPath("node"),
    module,
  );
}

/** better-sqlite3 is compiled for this one. */
function onPath(program: string): Runtime {
  return Bun.which(program) === null
    ? { kind: "missing", why: `no ${program} is on the PATH` }
    : { kind: "found", command: [program] };
}
