/** An application that uses SQLite from Python, with any URI: other VFS, no locks. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

export class PythonApplication {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  constructor() {
    this.#child = spawn("python3", [join(import.meta.dirname, "sql_writer.py")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  open(connection: string, path: string, query = ""): Promise<unknown> {
    return this.#ask({ connection, uri: `file:${path}${query}` });
  }

  /** Statements separated by semicolons; the rows of the last one. */
  run(connection: string, sql: string): Promise<unknown> {
    return this.#ask({ connection, sql });
  }

  close(connection: string): Promise<unknown> {
    return this.#ask({ connection, close: true });
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #ask(request: Record<string, unknown>): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error("the application is gone");
    const { ok, error } = JSON.parse(value) as { ok?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return ok;
  }
}
