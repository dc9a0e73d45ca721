/**
 * What a rewind to a moment would undo, found by reading the log: no page is restored for it.
 */
import type { RewindMoment, RewindPlan } from "../../control/rewind-api.ts";
import { allRules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { type CheckpointManifest, listCheckpoints, readManifest, startOf } from "../../vault/checkpoint/checkpoint.ts";
import { DamagedManifestError } from "../../vault/errors.ts";
import { FlushAssembler } from "../../vault/log/flush-assembler.ts";
import type { Log } from "../../vault/log/log.ts";
import { LogReader, type LogStart } from "../../vault/log/log-reader.ts";
import { hashedOnly } from "../../capture/hashed-pages.ts";
import type { Store } from "../../vault/store/store.ts";
import { LogSince } from "../secondary/log-since.ts";
import { EmptyVaultError } from "../secondary/restorer.ts";
import { isReached, MomentError, tooEarly } from "../secondary/state-at.ts";

const databasesListed = 20;

/** Nothing was committed since that moment. */
export class NothingToUndoError extends OperatorError {
  constructor(to: { readonly position: number; readonly wallTimeMs: number }, end: number) {
    super("usage", {
      found: `nothing was committed after position ${to.position} (${new Date(to.wallTimeMs).toISOString()}), up to the end of the log at ${end}: the state then is the state now`,
      accepted: "an earlier moment",
      advice: "see `stead vault ls --records` for positions and times",
    });
  }
}

export interface PlanOptions {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly moment: RewindMoment;
  readonly keptForMs: number;
  readonly signal?: AbortSignal | undefined;
}

type StateFound = LogStart & { readonly epoch: number; readonly wallTimeMs: number };

/** Throws MomentError, NothingToUndoError, EmptyVaultError, the vault's errors, and the signal's reason. */
export async function planRewind(options: PlanOptions): Promise<RewindPlan> {
  const { log, clock, signal, keptForMs } = options;
  assertPast(options.moment, clock);
  const to = await findState(options, await checkpointBefore(options));
  const since = new LogSince(log, to, { wallTimeMs: to.wallTimeMs });
  await since.read((ms) => clock.sleep(ms, signal), { signal });
  return planOf({ to, since, keptForMs });
}

/** Throws MomentError. */
export function assertPast(moment: RewindMoment, clock: Clock): void {
  if (moment.kind === "time" && moment.wallTimeMs > clock.wallTime())
    throw new MomentError(
      new Date(moment.wallTimeMs).toISOString(),
      `a time that is over: it is ${new Date(clock.wallTime()).toISOString()} here`,
    );
}

/** Throws NothingToUndoError. */
export function planOf({
  to,
  since,
  keptForMs,
}: {
  readonly to: StateFound;
  readonly since: LogSince;
  readonly keptForMs: number;
}): RewindPlan {
  const { flushes, bytes, firstMs, lastMs, databases, fileChanges } = since.extent;
  if (flushes === 0) throw new NothingToUndoError(to, since.position);
  const byPages = [...databases].map(([name, pages]) => ({ name, pages })).toSorted((a, b) => b.pages - a.pages);
  return {
    to: { position: to.position, epoch: to.epoch, wallTimeMs: to.wallTimeMs },
    end: { position: since.position, wallTimeMs: since.wallTimeMs },
    undone: {
      ...{ flushes, bytes, firstMs: firstMs ?? null, lastMs: lastMs ?? null, fileChanges },
      databases: byPages.slice(0, databasesListed),
      databasesTotal: byPages.length,
    },
    keptForMs,
  };
}

/** The newest whole checkpoint at or before the moment from which the log is there. */
async function checkpointBefore({ store, log, moment }: PlanOptions): Promise<CheckpointManifest> {
  const boundary = await log.boundary();
  const all = await listCheckpoints(store);
  if (all.length === 0) throw new EmptyVaultError();
  const positions = all.filter((position) => position >= boundary);
  for (const position of positions.toReversed()) {
    const manifest = await readManifest(store, position).catch((error: unknown) => {
      if (error instanceof DamagedManifestError) return undefined;
      throw error;
    });
    if (manifest !== undefined && isReached(moment, manifest)) return manifest;
  }
  throw await tooEarly(store, moment, boundary, "journal");
}

async function findState({ log, moment, signal }: PlanOptions, checkpoint: CheckpointManifest): Promise<StateFound> {
  const reader = new LogReader({ log, start: startOf(checkpoint), rules: allRules });
  const flushes = new FlushAssembler({ keep: hashedOnly, forget: () => undefined });
  const { position, hash, epoch, wallTimeMs } = checkpoint;
  let last: StateFound = { position, hash, epoch, wallTimeMs };
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
    signal?.throwIfAborted();
    if (!isReached(moment, record.header)) return last;
    flushes.push(record);
    const { header, hash } = record;
    if (!flushes.isOpen) last = { position: header.position, hash, epoch: header.epoch, wallTimeMs: header.wallTimeMs };
  }
  if (moment.kind === "position" && reader.position < moment.position)
    throw new MomentError(`position ${moment.position}`, `up to ${reader.position}, the end of the log`);
  return last;
}
