/** What the set of databases is made of, and what it tells of each. */
import type { DatabaseChecksum } from "../core/delta.ts";
import type { Rules } from "../core/rules.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SourceLimits } from "./limits.ts";
import type { PageHashes } from "./page-hashes.ts";
import type { Housekeeping } from "./seal.ts";
import type { UncapturedDatabase } from "./uncaptured.ts";

export interface DatabaseSetOptions {
  readonly root: string;
  readonly databases: readonly string[];
  readonly except?: readonly string[] | undefined;
  /** Names that an operator excluded; another set when that changes. */
  readonly excluded?: (() => ReadonlySet<string>) | undefined;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly limits: SourceLimits;
  readonly house: Housekeeping;
  readonly known?: ReadonlyMap<string, PageHashes> | undefined;
  onWarning(text: string): void;
  /** Other databases than before cannot be captured, or for other reasons. */
  onUncaptured?(now: readonly UncapturedDatabase[]): void;
}

export interface CapturedDatabase {
  readonly name: string;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: DatabaseChecksum;
}

/** It is not captured any more. */
export interface GoneDatabase {
  readonly name: string;
  readonly pageSize: number;
}
