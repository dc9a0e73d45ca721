/**
 * What the vault can be restored to, read from it when a gateway asks.
 *
 * It says what `stead vault restore` would find (point-in-time.ts): each checkpoint at or above the
 * retention boundary has a manifest and the log after it, announced or not, and every moment after the first of them
 * is reached from one. Below the boundary the log is gone, and a manifest that is still there is one moment, if rules
 * keep it (core/checkpoint-history.ts): the newest checkpoint names those.
 *
 * A manifest never changes, and may be large: each is read once, one after the other, and only its figures are kept.
 * Calls within a few seconds, or beside each other, get the same answer, so that watching costs little.
 */
import type { CheckpointPoint, RestorePoints } from "../../control/restore-points.ts";
import { withNulls } from "../../control/nulls.ts";
import type { RetentionPolicy } from "../../core/retention.ts";
import type { Clock } from "../../runtime/clock.ts";
import {
  databaseBytes,
  type HistoryPoint,
  listCheckpoints,
  readManifest,
} from "../../vault/checkpoint/checkpoint-manifest.ts";
import { DamagedManifestError, UnknownFormatError } from "../../vault/errors.ts";
import type { Log } from "../../vault/log/log.ts";
import type { Position } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";

export const checkpointsListed = 20;
/** How long an answer stands. */
export const readEveryMs = 5_000;

export interface RestorePointReaderOptions {
  readonly store: Store;
  readonly vaultLog: Log;
  readonly clock: Clock;
  /** In force now. */
  readonly policy: () => RetentionPolicy;
  /** The last record that this host knows, and how long ago it saw it; undefined: none in this run. */
  readonly newest: () => { readonly position: Position; readonly ageMs: number } | undefined;
}

/** What a checkpoint's manifest says. */
type Found =
  | { readonly kind: "whole"; readonly point: CheckpointPoint; readonly history: readonly HistoryPoint[] }
  | { readonly kind: "damaged" };

export class RestorePointReader {
  readonly #options: RestorePointReaderOptions;
  readonly #known = new Map<Position, Found>();
  #last: { readonly answer: Promise<RestorePoints>; readonly at: number } | undefined;

  constructor(options: RestorePointReaderOptions) {
    this.#options = options;
  }

  /** Throws StoreError. A failure stands as long as an answer: a vault that is away is not asked by each who looks. */
  read(): Promise<RestorePoints> {
    const now = this.#options.clock.now();
    if (this.#last === undefined || now - this.#last.at >= readEveryMs) this.#last = { answer: this.#read(), at: now };
    return this.#last.answer;
  }

  async #read(): Promise<RestorePoints> {
    const { store, vaultLog, clock, newest: lastSeen } = this.#options;
    const { checkpointsMin: checkpoints, windowMs } = this.#options.policy();
    const boundary = await vaultLog.boundary();
    const all = await listCheckpoints(store);
    const positions = all.filter((position) => position >= boundary);
    for (const position of this.#known.keys()) if (!positions.includes(position)) this.#known.delete(position);
    const newest = positions.slice(-checkpointsListed).reverse();
    const found: { position: Position; found: Found }[] = [];
    for (const position of newest) {
      const each = await this.#find(position);
      if (each !== undefined) found.push({ position, found: each });
    }
    const points = found.flatMap((each) => (each.found.kind === "whole" ? [each.found.point] : []));
    const seen = lastSeen();
    return withNulls({
      total: positions.length - (newest.length - points.length),
      checkpoints: points,
      damaged: found.flatMap((each) => (each.found.kind === "damaged" ? [each.position] : [])),
      earliest: await this.#earliest(positions, points),
      older: olderThan(boundary, new Set(all), found),
      latest:
        seen === undefined
          ? undefined
          : { position: seen.position, wallTimeMs: Math.floor(clock.wallTime() - seen.ageMs) },
      keep: { checkpoints, windowMs },
    });
  }

  /** The first whole checkpoint; those of `points` are known to be. */
  async #earliest(positions: readonly Position[], points: readonly CheckpointPoint[]) {
    const oldestListed = points.at(-1);
    for (const position of positions) {
      if (oldestListed !== undefined && position >= oldestListed.position) break;
      const found = await this.#find(position);
      if (found?.kind === "whole") return momentOf(found.point);
    }
    return oldestListed === undefined ? undefined : momentOf(oldestListed);
  }

  /** Undefined: retention has removed it meanwhile. */
  async #find(position: Position): Promise<Found | undefined> {
    const known = this.#known.get(position);
    if (known !== undefined) return known;
    const found = await readPoint(this.#options.store, position);
    if (found !== undefined) this.#known.set(position, found);
    return found;
  }
}

/** What the newest whole checkpoint names below the boundary, as far as it is there; newest first. */
function olderThan(boundary: Position, present: ReadonlySet<Position>, found: readonly { readonly found: Found }[]) {
  const newest = found.map((each) => each.found).find((each) => each.kind === "whole");
  return (newest?.history ?? [])
    .filter(({ position }) => position < boundary && present.has(position))
    .map(momentOf)
    .reverse();
}

async function readPoint(store: Store, position: Position): Promise<Found | undefined> {
  try {
    const manifest = await readManifest(store, position);
    if (manifest === undefined) return undefined;
    const { databases, wallTimeMs, history = [] } = manifest;
    const bytes = databases.reduce((sum, database) => sum + databaseBytes(database), 0);
    return { kind: "whole", point: { position, wallTimeMs, databases: databases.length, bytes }, history };
  } catch (error) {
    if (error instanceof DamagedManifestError || error instanceof UnknownFormatError) return { kind: "damaged" };
    throw error;
  }
}

const momentOf = ({ position, wallTimeMs }: Pick<CheckpointPoint, "position" | "wallTimeMs">) => ({
  position,
  wallTimeMs,
});
