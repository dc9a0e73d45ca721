/** What `[host.checkpoint]` says of clean-up. */
import type { RetentionPolicy } from "../core/retention.ts";
import type { CheckpointConfig } from "./types.ts";

export const retentionPolicy = ({ keepMin, windowMs, history }: CheckpointConfig): RetentionPolicy => ({
  checkpointsMin: keepMin,
  ...{ windowMs, history },
});
