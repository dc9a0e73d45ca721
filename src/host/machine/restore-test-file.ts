/** Keeps the result of this host's last restore test between its runs: `every` counts from it. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type RestoreTestResult, restoreTestSchema } from "../../control/restore-test.ts";

const fileName = "restore-test.json";

export class RestoreTestFile {
  readonly #path: string;

  constructor(stateFolder: string) {
    this.#path = join(stateFolder, fileName);
  }

  /** Undefined: there was none, or the file is not readable; the next test replaces it. */
  read(): RestoreTestResult | undefined {
    try {
      return v.parse(restoreTestSchema, JSON.parse(readFileSync(this.#path, "utf8")));
    } catch {
      return undefined;
    }
  }

  /** Throws the file system's errors. */
  write(result: RestoreTestResult): void {
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(result)}\n`);
    renameSync(`${this.#path}.new`, this.#path);
  }
}
