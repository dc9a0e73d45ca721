/**
 * The example applications as a cluster starts them. Both are unaware of stead: they get a port and a data folder.
 *
 * From the repository they run from `examples/`. In the compiled binary alone, the notes application is inside the
 * binary (`stead demo-app notes`) and the ledger's source is written to the cluster's folder; Python must be on the
 * machine.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { LedgerModel } from "./ledger-model.ts";
import type { DemoModel } from "./model.ts";
import { NotesModel } from "./notes-model.ts";
import { OperatorError } from "../src/runtime/operator-error.ts";
import { repositoryFile, selfCommand } from "../src/runtime/self-command.ts";

/** Only a bundle needs it, and only a bundler can import it. */
const ledgerSource =
  repositoryFile("examples/ledger/ledger.py") === undefined
    ? (await import("../examples/ledger/ledger.py", { with: { type: "text" } })).default
    : "";

export const demoApplicationNames = ["notes", "ledger"] as const;
export type DemoApplicationName = (typeof demoApplicationNames)[number];

export interface DemoApplication {
  readonly command: readonly [string, ...string[]];
  /** Relative to the data folder. */
  readonly database: string;
  readonly readyPath: string;
  /** A read that shows state. */
  readonly readPath: string;
  makeModel(run: string, workers: number): DemoModel;
}

/** This machine lacks something that a cluster needs. */
export class DemoRequirementError extends OperatorError {
  constructor(found: string, advice: string) {
    super("resource", { found, advice });
  }
}

/** `folder`: where embedded sources may be written. Throws `DemoRequirementError`. */
export function demoApplication(name: DemoApplicationName, folder: string): DemoApplication {
  switch (name) {
    case "notes": {
      const source = repositoryFile("examples/notes/main.ts");
      return {
        command: source === undefined ? [...selfCommand(), "demo-app", "notes"] : [process.execPath, source],
        database: "notes.db",
        readyPath: "/health",
        readPath: "/changes?after=0&limit=5",
        makeModel: (run, workers) => new NotesModel(run, workers),
      };
    }
    case "ledger": {
      const source = repositoryFile("examples/ledger/ledger.py") ?? join(folder, "ledger.py");
      if (repositoryFile("examples/ledger/ledger.py") === undefined) writeFileSync(source, ledgerSource);
      return {
        command: [findPython(), source],
        database: "ledger.db",
        readyPath: "/health",
        readPath: "/accounts",
        makeModel: (run, workers) => new LedgerModel(run, workers),
      };
    }
  }
}

/** The interpreter's own path: a version manager's shim would add its own start to every start. */
function findPython(): string {
  const asked = spawnSync("python3", ["-c", "import sqlite3, sys; print(sys.executable)"], {
    encoding: "utf8",
    timeout: 20_000,
  });
  const path = asked.stdout?.trim() ?? "";
  if (asked.error === undefined && asked.status === 0 && path !== "") return path;
  const why = asked.error === undefined ? (asked.stderr.trim().split("\n").at(-1) ?? "") : asked.error.message;
  throw new DemoRequirementError(
    `the ledger example needs python3 with its sqlite3 module (${why})`,
    "install python3, or run the notes example: `stead demo --app notes`",
  );
}
