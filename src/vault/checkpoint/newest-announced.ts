/**
 * The newest checkpoint that the log announces, found from the vault alone, without having followed the log.
 *
 * An announcement comes after the position it announces, and retention never passes the newest announced checkpoint. It
 * is therefore found by reading the log from the checkpoint's own position on. Position 0 needs no announcement.
 */
import { allRules } from "../../core/rules.ts";
import { type CheckpointManifest, listCheckpoints, readWholeManifest, startOf } from "./checkpoint-manifest.ts";
import { LeftBehindError } from "../errors.ts";
import type { Log } from "../log/log.ts";
import { LogReader } from "../log/log-reader.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";

export interface Announced {
  readonly manifest: CheckpointManifest;
  /** Position of the last record of the log. */
  readonly logPosition: Position;
}

/**
 * Returns undefined if there is none. Throws what reading the log throws; a damaged manifest is skipped for an older
 * one.
 */
export async function newestAnnounced(store: Store, log: Log): Promise<Announced | undefined> {
  for (const position of (await listCheckpoints(store)).reverse()) {
    const manifest = await readWholeManifest(store, position);
    if (manifest === undefined) continue;
    const found = await lookForAnnouncement(log, manifest);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function lookForAnnouncement(log: Log, manifest: CheckpointManifest): Promise<Announced | undefined> {
  const reader = new LogReader({ log, start: startOf(manifest), rules: allRules });
  let announced = manifest.position === 0;
  try {
    for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
      const { body } = record;
      if (
        body.kind === "checkpoint" &&
        body.checkpointPosition === manifest.position &&
        body.manifestHash === manifest.manifestHash
      )
        announced = true;
    }
  } catch (error) {
    if (error instanceof LeftBehindError) return undefined; // Never announced, and the log has moved on from it.
    throw error;
  }
  return announced ? { manifest, logPosition: reader.position } : undefined;
}
