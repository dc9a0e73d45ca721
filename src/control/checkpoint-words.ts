/** Says how far a checkpoint is that is being written, as `stead status`, the page and a host's log do. */
import { type WorkProgress, progressInWords } from "../runtime/progress-report.ts";
import type { CheckpointProgress } from "./host-status.ts";

export const writingCheckpoint = "writing a checkpoint";

export const progressOfCheckpoint = ({
  bytes,
  totalBytes,
  bytesPerSecond,
  leftMs,
}: CheckpointProgress): WorkProgress => ({
  ...{ done: bytes, total: totalBytes, perSecond: bytesPerSecond ?? undefined, leftMs: leftMs ?? undefined },
});

export const checkpointInWords = (progress: CheckpointProgress): string =>
  `${writingCheckpoint}: ${progressInWords(progressOfCheckpoint(progress))}`;
