/** A process that is asked by lines of JSON and can be killed: the application's, and the primary's. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { createInterface } from "node:readline";

/** Lines in, lines out. */
export class Child {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exited: Promise<void>;

  constructor(program: string, args: readonly string[], onLine: (line: string) => void) {
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin.on("error", () => undefined); // It was killed.
    createInterface({ input: this.#child.stdout }).on("line", onLine);
    this.#exited = new Promise((resolve) => this.#child.on("close", () => resolve()));
  }

  get exited(): Promise<void> {
    return this.#exited;
  }

  say(message: unknown): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

/** A process that answers each request, in order. */
export class Worker {
  readonly #child: Child;
  readonly #waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  #isGone = false;

  constructor(program: string, args: readonly string[]) {
    this.#child = new Child(program, args, (line) => {
      const { ok, error } = JSON.parse(line) as { ok?: unknown; error?: string };
      const waiter = this.#waiting.shift();
      if (error === undefined) waiter?.resolve(ok);
      else waiter?.reject(new Error(error));
    });
    void this.#child.exited.then(() => {
      this.#isGone = true;
      for (const waiter of this.#waiting.splice(0)) waiter.reject(goneError());
    });
  }

  ask(request: Record<string, unknown>): Promise<unknown> {
    if (this.#isGone) return Promise.reject(goneError());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.say(request);
    });
  }

  kill(): Promise<void> {
    return this.#child.kill();
  }
}

const goneError = (): Error => new Error("the process is gone");
