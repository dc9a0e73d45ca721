/**
 * An earlier commit, checked out into a temporary folder so that its benches run beside this tree's: with its own
 * dependencies when its lock file differs.
 */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../lib/command.ts";

/** A reason why two commits cannot be compared. */
export class ComparisonError extends Error {
  override readonly name = "ComparisonError";
}

export class EarlierCommit {
  readonly #here: string;
  readonly #folder: string;

  private constructor(here: string, folder: string) {
    this.#here = here;
    this.#folder = folder;
  }

  /** Throws ComparisonError. `here`: the root of this tree. */
  static async checkOut(here: string, commit: string): Promise<EarlierCommit> {
    const earlier = new EarlierCommit(here, mkdtempSync(join(tmpdir(), "stead-bench-against-")));
    try {
      await earlier.#fill(commit);
    } catch (error) {
      await earlier.remove();
      throw error;
    }
    return earlier;
  }

  get root(): string {
    return join(this.#folder, "before");
  }

  async remove(): Promise<void> {
    await runCommand(["git", "worktree", "remove", "--force", this.root], { cwd: this.#here, show: false });
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #fill(commit: string): Promise<void> {
    await succeed(["git", "worktree", "add", "--quiet", "--detach", this.root, commit], this.#here);
    const lock = (root: string): string => readFileSync(join(root, "bun.lock"), "utf8");
    if (lock(this.#here) === lock(this.root))
      symlinkSync(join(this.#here, "node_modules"), join(this.root, "node_modules"));
    else await succeed([process.execPath, "install", "--frozen-lockfile"], this.root);
  }
}

async function succeed(command: readonly string[], cwd: string): Promise<void> {
  const { code, output } = await runCommand(command, { cwd, show: false });
  if (code !== 0) throw new ComparisonError(`${command.join(" ")} ended with exit code ${code}: ${output.trim()}`);
}
