/** What an application in any language does with one connection to one database: for application.mjs as JSON, for application.py as Python. */
import { join } from "node:path";
import { type EngineName, findEngine } from "../../../scripts/lib/engines.ts";
import { findRuntime } from "../../../scripts/lib/runtimes.ts";

export type Action =
  /** `query` of a URI, where the library takes one. */
  | { readonly open: string; readonly query?: string }
  | { readonly exec: string }
  /** The first column of each row. */
  | { readonly all: string }
  | { readonly rename: readonly [string, string] }
  /** Deletes every database of the data folder; stead may have removed the companions already. */
  | { readonly clear: true };

export interface Engine {
  readonly name: string;
  /** It takes `vfs=` and the like. */
  readonly takesUris: boolean;
  /** Undefined: application.py. */
  readonly command: readonly [string, ...string[]] | undefined;
  /** Why it cannot be tried here. */
  readonly missing: string | undefined;
  code(actions: readonly Action[]): string;
}

const application = join(import.meta.dirname, "application.mjs");

export const python: Engine = { name: "Python sqlite3", takesUris: true, command: undefined, missing: undefined, code: (actions) => actions.map(inPython).join("\n") };
export const bun = inJavaScript("bun:sqlite", { kind: "found", command: [process.execPath] }, true);
export const nodeSqlite = inJavaScript("node:sqlite", findRuntime("node"), true);
export const libsql = inJavaScript("libsql", { kind: "found", command: ["node"] }, false);
export const betterSqlite = installed("better-sqlite3");
export const turso = installed("@tursodatabase/database");

function inJavaScript(name: string, runtime: { readonly kind: "found"; readonly command: readonly [string, ...string[]] } | { readonly kind: "missing"; readonly why: string }, takesUris: boolean, module?: string): Engine {
  const code = (actions: readonly Action[]): string => JSON.stringify(actions);
  if (runtime.kind === "missing") return { name, takesUris, command: [""], missing: runtime.why, code };
  return { name, takesUris, command: [...runtime.command, application, name, ...(module === undefined ? [] : [module])], missing: undefined, code };
}

function installed(name: EngineName): Engine {
  const module = findEngine(name);
  const runtime = module === undefined ? ({ kind: "missing", why: `no ${name} is here: ./scripts/engines installs it` } as const) : ({ kind: "found", command: ["node"] } as const);
  return inJavaScript(name, runtime, false, module);
}

function inPython(action: Action): string {
  if ("open" in action) return `db = sqlite3.connect("file:" + data + "/${action.open}${action.query ?? ""}", uri=True, isolation_level=None)`;
  if ("exec" in action) return `for statement in ${JSON.stringify(action.exec)}.split(";"): db.execute(statement)`;
  if ("all" in action) return `result = [row[0] for row in db.execute(${JSON.stringify(action.all)}).fetchall()]`;
  if ("rename" in action) return `os.rename(data + "/${action.rename[0]}", data + "/${action.rename[1]}")`;
  return 'import pathlib\nfor name in os.listdir(data):\n  if name.split(".")[-1] in ("db", "db-wal", "db-shm"): pathlib.Path(data, name).unlink(missing_ok=True)';
}
