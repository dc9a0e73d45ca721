/** The primary as the fuzzer sees it: a process with a gate. */
import { join } from "node:path";
import { Child } from "./child.ts";
import type { PrimaryEvent, PrimaryOptions, PrimaryRequest } from "./primary-main.ts";

export type Released = { readonly released: true } | { readonly released: false; readonly error: string };

export class Primary {
  readonly #child: Child;
  readonly #answers = new Map<number, (answer: Released) => void>();
  readonly #restored = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  #asked = 0;
  /** Why nothing is answered any more. */
  #isOver: string | undefined;
  readonly warnings: string[] = [];
  /** What a verification of the vault called damage before the restore. */
  damage: readonly string[] = [];
  /** Why it gave up by itself. */
  ended: string | undefined;

  constructor(options: PrimaryOptions) {
    this.#child = new Child(
      process.execPath,
      [join(import.meta.dirname, "primary-main.ts"), JSON.stringify(options)],
      (line) => this.#hear(JSON.parse(line) as PrimaryEvent),
    );
    for (const { promise } of [this.#restored, this.#ready]) promise.catch(() => undefined);
    void this.#child.exited.then(() => this.#over("the primary was killed"));
  }

  /** The data folder is what the vault says. Rejects with why it cannot be. */
  restored(): Promise<void> {
    return this.#restored.promise;
  }

  /** Claims, and captures from now on. */
  serve(): Promise<void> {
    this.#say({ what: "go" });
    return this.#ready.promise;
  }

  /** Whether an answer that exists now may leave: resolves when it may, or never can. */
  gate(): Promise<Released> {
    return this.#ask("gate");
  }

  checkpoint(): Promise<Released> {
    return this.#ask("checkpoint");
  }

  kill(): Promise<void> {
    return this.#child.kill();
  }

  #ask(what: "gate" | "checkpoint"): Promise<Released> {
    if (this.#isOver !== undefined) return Promise.resolve({ released: false, error: this.#isOver });
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#say({ what, id });
    });
  }

  #say(request: PrimaryRequest): void {
    this.#child.say(request);
  }

  #hear(event: PrimaryEvent): void {
    switch (event.what) {
      case "verified":
        this.damage = event.damage;
        return;
      case "restored":
        return this.#restored.resolve();
      case "ready":
        return this.#ready.resolve();
      case "failed":
        return this.#over(event.reason);
      case "warning":
        this.warnings.push(event.text);
        return;
      case "ended":
        this.ended = `${event.kind}: ${event.reason}`;
        return;
      case "answer":
        this.#answers.get(event.id)?.(
          event.released ? { released: true } : { released: false, error: event.error ?? "" },
        );
        this.#answers.delete(event.id);
    }
  }

  #over(reason: string): void {
    this.#isOver ??= reason;
    this.#restored.reject(new Error(reason));
    this.#ready.reject(new Error(reason));
    for (const answer of this.#answers.values()) answer({ released: false, error: reason });
    this.#answers.clear();
  }
}
