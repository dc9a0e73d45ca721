/** A journal's jobs beside its flushes, one after the other. */
import type { RecordBody } from "../../vault/record.ts";
import type { CaptureSnapshot } from "../ports/ports.ts";

export type Job =
  | {
      readonly kind: "record";
      readonly body: RecordBody;
      readonly done: (position: number) => void;
      readonly failed: (error: Error) => void;
    }
  | { readonly kind: "snapshot"; readonly done: (at: SnapshotAt) => void; readonly failed: (error: Error) => void };

/** A snapshot of the databases as of the record at `position`. */
export interface SnapshotAt {
  readonly snapshot: CaptureSnapshot;
  readonly position: number;
  readonly hash: string;
}

/** A snapshot that leaves something out is not the state at its position: it is refused, and the journal continues. */
export async function settleSnapshot(job: Extract<Job, { kind: "snapshot" }>, at: SnapshotAt): Promise<void> {
  if (at.snapshot.leavesOut !== true) return job.done(at);
  await at.snapshot.release();
  job.failed(
    new Error(
      "a database cannot be captured now (status names it), or could not be opened again: there is no checkpoint until it can be, or is gone",
    ),
  );
}
