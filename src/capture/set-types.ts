/** The parts of the set of databases, and its reports about each. */
import type { DatabaseChecksum } from "../core/delta.ts";
import type { SourceLimits } from "./limits.ts";
import type { Housekeeping } from "./seal.ts";
import type { SourceOptions } from "./source-options.ts";
import type { UnfinishedCommits } from "./unfinished-commits.ts";
import type { WriteLocks } from "./write-locks.ts";

export interface DatabaseSetOptions extends Omit<SourceOptions, "limits" | "uncaptured"> {
  readonly limits: SourceLimits;
  readonly house: Housekeeping;
  readonly writeLocks: WriteLocks;
  readonly unfinished: UnfinishedCommits;
}

export interface CapturedDatabase {
  readonly name: string;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: DatabaseChecksum;
}

/** A database that is no longer captured. */
export interface GoneDatabase {
  readonly name: string;
  readonly pageSize: number;
}
