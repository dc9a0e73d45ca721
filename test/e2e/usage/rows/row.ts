/**
 * A row of the table of usages that were not right once: what an application does, and what is so now.
 *
 * Most of what applications do ends nothing and loses nothing. Such parts share one run for each engine: one host, a
 * kill at the end, and a look at what the vault has then. A part that ends the term, or needs a host of its own, has a
 * run of its own.
 */
import type { Engine, EngineName } from "../engine-actions.ts";
import type { EngineScene } from "./engine-scene.ts";
import type { Restored } from "./restored.ts";

export interface Row {
  readonly usage: string;
  /** Empty: no engine has a part in it. */
  readonly parts: readonly Part[];
  /** Tests of what does not depend on an engine: file and name. */
  readonly elsewhere?: readonly (readonly [file: string, name: string])[];
}

export type Part = SharedPart | OwnPart;

interface PartOfRow {
  readonly does: string;
  readonly cannot?: Partial<Record<EngineName, Inability>>;
}

/** Why an engine cannot do it, and what shows that, in the run that is shared. */
export interface Inability {
  readonly why: string;
  prove(here: EngineScene): Promise<void>;
}

export interface SharedPart extends PartOfRow {
  readonly kind: "shared";
  use(here: EngineScene): Promise<void>;
  /** Continues until the kill cuts it off. */
  untilKilled?(here: EngineScene): Promise<void>;
  check(restored: Restored, here: EngineScene): void;
  /** All that must be there of it in the end. */
  readonly leaves: readonly string[];
}

export interface OwnPart extends PartOfRow {
  readonly kind: "own";
  run(engine: Engine): Promise<void>;
}
