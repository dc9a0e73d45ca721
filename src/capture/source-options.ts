/** Capture's configuration for a service, and its listeners. */
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
   * Names that an operator excluded: treated as absent. A new set after each change, which takes effect at the next
   * look. The first batch removes their `known` content from the captured state.
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
   * What happens if a database cannot be captured: `hold` (default) holds responses for `attachWaitMsMax`, `stop` ends
   * capture at once.
   */
  readonly uncaptured?: "hold" | "stop" | undefined;
  /** The set of databases that cannot be captured, or the reasons, changed. */
  onUncaptured?(now: readonly UncapturedEntry[]): void;
  /** A warning for the operator that does not stop capture. */
  onWarning(text: string): void;
}
