/** What capture is told about a service, and whom it tells. */
import type { Rules } from "../core/rules.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SourceLimits } from "./limits.ts";
import type { PageHashes } from "./page-hashes.ts";
import type { UncapturedEntry } from "./uncaptured.ts";

export interface SourceOptions {
  /** The application's data folder, absolute. */
  readonly root: string;
  /** Paths relative to it, `*` and `?` within a segment, `**` any folders: "app.db", "tenants/*.db". */
  readonly databases: readonly string[];
  /** Patterns of the same kind: what matches them is left out. */
  readonly except?: readonly string[] | undefined;
  /**
   * Names that an operator excluded: as if nothing were there. Another set when that changes, which takes effect at the
   * next look. What `known` has of them is removed from the captured state by the first batch.
   */
  readonly excluded?: (() => ReadonlySet<string>) | undefined;
  readonly clock: Clock;
  readonly rules: Rules;
  /** Default: nothing is measured. */
  readonly metrics?: Metrics;
  readonly limits?: Partial<SourceLimits>;
  /** Hashes of all pages by name, from the `Replica` that wrote these files: such a database is not read at `open`. */
  readonly known?: ReadonlyMap<string, PageHashes>;
  /**
   * What a database that cannot be captured does: `hold` (default) lets answers wait for `attachWaitMsMax`, `stop` ends
   * capture at once.
   */
  readonly uncaptured?: "hold" | "stop" | undefined;
  /** Other databases than before cannot be captured, or for other reasons. */
  onUncaptured?(now: readonly UncapturedEntry[]): void;
  /** Something an operator should know that does not stop capture. */
  onWarning(text: string): void;
}
