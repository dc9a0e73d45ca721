/** What a journal is asked to do beside its flushes, one after the other. */
import type { RecordBody } from "../vault/record.ts";
import type { CaptureSnapshot } from "./ports.ts";

export type Job =
  | { readonly kind: "record"; readonly body: RecordBody; readonly done: (position: number) => void; readonly failed: (error: Error) => void }
  | { readonly kind: "snapshot"; readonly done: (at: SnapshotAt) => void; readonly failed: (error: Error) => void };

/** A snapshot of the databases as they are after the record at `position`. */
export interface SnapshotAt {
  readonly snapshot: CaptureSnapshot;
  readonly position: number;
  readonly hash: string;
}
