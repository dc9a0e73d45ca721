/** One run of an engine through all that ends nothing: what became of each part. */
import { expect } from "bun:test";
import type { Engine } from "../engine-actions.ts";
import { EngineScene } from "./engine-scene.ts";
import type { Inability, Part, SharedPart } from "./row.ts";

export class SharedRun {
  readonly #engine: Engine;
  readonly #parts: readonly Part[];
  readonly #failures = new Map<Part | "whole", unknown>();

  #going: Promise<void> | undefined;

  constructor(engine: Engine, parts: readonly Part[]) {
    this.#engine = engine;
    this.#parts = parts;
  }

  /** Resolves when it is over; begun by the first call. */
  go(): Promise<void> {
    return (this.#going ??= this.#go());
  }

  async #go(): Promise<void> {
    const here = await EngineScene.open(this.#engine);
    try {
      const { epoch } = await here.status();
      for (const part of this.#parts) {
        await this.#note(part, async () => {
          await this.#use(here, part).catch((error: unknown) => {
            throw new Error(`${String(error)}\n${here.logs()}`, { cause: error });
          });
          // Whatever it was, this host is what it was.
          const { role, epoch: now, reason } = await here.status();
          if (role !== "primary" || now !== epoch)
            throw new Error(`the term ended: ${role} of epoch ${now}, ${reason}\n${here.logs()}`);
        });
      }
      const used = this.#parts.filter(
        (part): part is SharedPart => part.kind === "shared" && this.inability(part) === undefined,
      );
      const restored = await here.kill(Promise.allSettled(used.map((part) => part.untilKilled?.(here))));
      for (const part of used) await this.#note(part, () => part.check(restored, here));
      await this.#note("whole", () => expect(restored.names()).toEqual(used.flatMap(({ leaves }) => leaves).sort()));
    } finally {
      await here.close();
    }
  }

  /** Of the engine of this run. */
  inability(part: Part): Inability | undefined {
    return part.cannot?.[this.#engine.name];
  }

  /** `whole`: nothing else is there in the end than what all parts leave. */
  assert(part: Part | "whole"): void {
    if (this.#failures.has(part)) throw this.#failures.get(part);
  }

  async #use(here: EngineScene, part: Part): Promise<void> {
    const inability = this.inability(part);
    if (inability !== undefined) await inability.prove(here);
    else if (part.kind === "shared") await part.use(here);
  }

  /** The first failure is the one to look at. */
  async #note(part: Part | "whole", work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#failures.has(part)) this.#failures.set(part, error);
    }
  }
}
