/**
 * Verifies a whole vault without writing: identity, log, checkpoints with all their chunks, and their consistency.
 *
 * `restorable` answers the main question: from which checkpoint, up to which position. A vault in use changes
 * meanwhile; what retention removes during the walk is recognised by a new boundary and not reported as damage.
 */
import { filesStateName } from "../../core/files/whole-state.ts";
import type { CheckpointManifest } from "../checkpoint/checkpoint-manifest.ts";
import { startOf } from "../checkpoint/checkpoint-manifest.ts";
import { ForeignVaultError, NotAVaultError, UnknownFormatError } from "../errors.ts";
import { type CheckpointReport, damage, type Finding, notice } from "./finding.ts";
import { readIdentity, type VaultIdentity } from "../store/identity.ts";
import { JournalProof, type PageProof, type UnappliableFlush } from "../checkpoint/flush-proof.ts";
import { checkpointKey, chunkPrefix, identityKey, parseChunkKey } from "../keys.ts";
import type { Log } from "../log/log.ts";
import { genesisHash } from "../log/record-codec.ts";
import { openLog } from "../log/open-log.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";
import { logNumbers, type VaultKeys } from "../store/vault-keys.ts";
import { type CheckpointsReport, verifyCheckpoints } from "./verify-checkpoints.ts";
import { type LogReport, verifyLog } from "./verify-log.ts";

export interface VaultReport {
  readonly url: string;
  readonly identity: VaultIdentity | undefined;
  readonly boundary: Position;
  readonly records: number;
  readonly lastPosition: Position;
  readonly epoch: number;
  /** Host of the last claim. */
  readonly host: string | undefined;
  readonly checkpoints: readonly CheckpointReport[];
  readonly chunks: number;
  readonly leftOverChunks: number;
  /** The newest provable state: this checkpoint and the journal up to that position. Undefined: none. */
  readonly restorable: { readonly checkpoint: Position; readonly upTo: Position } | undefined;
  /** Flushes that no host can apply, ascending; each is also a finding. */
  readonly unappliable: readonly UnappliableFlush[];
  readonly findings: readonly Finding[];
}

/** What is being verified, and how far that is: of the checkpoints in bytes, of the log in records. */
export type VerifyProgress = (stage: "checkpoints" | "log", done: number, total: number) => void;

export interface VerifyOptions {
  /** Replays the pages as hosts would; without it only the records themselves are verified. */
  readonly proof?: PageProof;
  /** Default: the service in the identity. */
  readonly service?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: VerifyProgress;
  /** Of the vault; the store authenticates with the same. */
  readonly keys?: VaultKeys | undefined;
}

/** Throws only StoreError and the signal's reason; all findings are in the report. */
export async function verifyVault(store: Store, options: VerifyOptions = {}): Promise<VaultReport> {
  const findings: Finding[] = [];
  const identity = await identityOf(store, options.service, findings);
  const service = identity?.service ?? options.service;
  const log = openLog(store, { service: service ?? "", log: identity?.log ?? "objects" }, { keys: options.keys });
  const boundary = await log.boundary();
  const { onProgress, proof: pages, signal } = options;
  const onRead = onProgress && ((done: number, total: number): void => onProgress("checkpoints", done, total));
  const checkpoints = await verifyCheckpoints(store, { proof: pages, signal, onProgress: onRead });
  findings.push(...checkpoints.findings);
  const start = startAt(boundary, checkpoints.manifests, findings);
  const proof = options.proof === undefined ? undefined : new JournalProof(store, options.proof, wholeOf(checkpoints));
  const onWalked = onProgress && ((done: number, total: number): void => onProgress("log", done, total));
  const walk = { isCopy: identity?.isCopy, onProgress: onWalked };
  const walked = service === undefined ? emptyLog : await verifyLog(log, boundary, start, proof, walk);
  findings.push(...walked.findings, ...compare(checkpoints.manifests, walked));
  if (options.keys?.isEncrypting === true) findings.push(...(await clearFindings(store, log, options.keys)));
  const left = checkpoints.unreferencedChunks.filter((key) => proof?.chunksOfFiles.has(key) !== true);
  if (left.length > 0) findings.push(leftOverFinding(left));
  findings.push(...(proof?.damagedChunks ?? []).map(({ key, message }) => damage("damaged-chunk", key, message)));
  const unappliable = proof?.unappliable ?? [];
  findings.push(
    ...unappliable.map((flush) => flushFinding(log, flush)),
    ...(proof?.diverging ?? []).map(divergenceFinding),
  );
  const { records, lastPosition, epoch, host } = walked;
  const { chunks } = checkpoints;
  const restorable = newestRestorable(checkpoints.checkpoints, boundary, walked, unappliable);
  return {
    url: store.url,
    identity,
    boundary,
    records,
    lastPosition,
    epoch,
    host,
    checkpoints: checkpoints.checkpoints,
    chunks,
    leftOverChunks: left.length,
    restorable,
    unappliable,
    findings,
  };
}

/**
 * Records name their service; without one there is nothing to verify them against, and `no-identity` is already damage.
 */
const emptyLog: LogReport = {
  findings: [],
  records: 0,
  lastPosition: 0,
  epoch: 0,
  host: undefined,
  runs: [],
  announced: new Map(),
  hashes: new Map(),
};

export const isDamaged = (report: VaultReport): boolean =>
  report.findings.some(({ severity }) => severity === "damage");

async function identityOf(
  store: Store,
  expected: string | undefined,
  findings: Finding[],
): Promise<VaultIdentity | undefined> {
  try {
    const identity = await readIdentity(store);
    if (identity === undefined)
      findings.push(
        damage("no-identity", identityKey, `${identityKey} is missing: it cannot be told whose vault this is`),
      );
    else if (expected !== undefined && identity.service !== expected) {
      findings.push(
        damage("foreign-vault", identityKey, new ForeignVaultError(store.url, identity.service, expected).message),
      );
    }
    return identity;
  } catch (error) {
    if (error instanceof NotAVaultError) findings.push(damage("no-identity", identityKey, error.message));
    else if (error instanceof UnknownFormatError) findings.push(damage("unknown-format", identityKey, error.message));
    else throw error;
    return undefined;
  }
}

function startAt(
  boundary: Position,
  manifests: readonly CheckpointManifest[],
  findings: Finding[],
): { position: Position; hash: string; epoch?: number } | undefined {
  const manifest = manifests.find(({ position }) => position === boundary);
  if (manifest !== undefined) return startOf(manifest);
  if (boundary === 0) return { position: 0, hash: genesisHash };
  findings.push(
    notice(
      "no-checkpoint-at-boundary",
      checkpointKey(boundary),
      `the log begins after position ${boundary}, where no whole checkpoint is: the chain is verified from the next record on`,
    ),
  );
  return undefined;
}

/**
 * Compares: a manifest must carry the hash of the record at its position, and the announcement the hash of the
 * manifest.
 */
function compare(manifests: readonly CheckpointManifest[], log: LogReport): Finding[] {
  const findings: Finding[] = [];
  const linked = new Set(manifests.map(({ previous }) => previous?.position));
  for (const manifest of manifests) {
    const key = checkpointKey(manifest.position);
    const hash = log.hashes.get(manifest.position);
    const announced = log.announced.get(manifest.position);
    if (hash !== undefined && hash !== manifest.hash)
      findings.push(
        damage("damaged-manifest", key, `${key} is the state after another record than the one at its position`),
      );
    if (announced !== undefined && announced !== manifest.manifestHash)
      findings.push(damage("damaged-manifest", key, `${key} is not the manifest that the log announces`));
    if (announced === undefined && manifest.position !== 0 && !linked.has(manifest.position)) {
      findings.push(
        notice(
          "unannounced-checkpoint",
          key,
          `${key} is complete but was never announced: its primary stopped, or was succeeded, before that`,
        ),
      );
    }
  }
  return findings;
}

/** What is there from before the vault was encrypted. Claims are never removed, and hold nothing of the application. */
async function clearFindings(store: Store, log: Log, keys: VaultKeys): Promise<Finding[]> {
  const records = (await log.positions(await log.boundary())).filter((position) => keys.isClear(logNumbers, position));
  const chunks = (await store.list(chunkPrefix)).filter((key) =>
    keys.isClear(chunkPrefix, parseChunkKey(key)?.position ?? Infinity),
  );
  if (records.length + chunks.length === 0) return [];
  return [
    notice(
      "not-encrypted",
      chunks[0] ?? log.nameOf(records[0] ?? 0),
      `${records.length} records and ${chunks.length} chunks are from before the vault was encrypted; retention removes them after the next checkpoints`,
    ),
  ];
}

function wholeOf({ checkpoints, manifests }: CheckpointsReport): CheckpointManifest[] {
  const whole = new Set(checkpoints.filter((checkpoint) => checkpoint.whole).map(({ position }) => position));
  return manifests.filter(({ position }) => whole.has(position));
}

function flushFinding(log: Log, { position, database, reason, wholeUpTo, mendedBy }: UnappliableFlush): Finding {
  const what = `no host can apply the flush that ends at position ${position}: ${database === "files" ? "files" : `database ${database}`}: ${reason}`;
  if (mendedBy !== undefined)
    return notice(
      "unappliable-flush",
      log.nameOf(position),
      `${what}; hosts start behind it, from the checkpoint at position ${mendedBy}; states between the two cannot be restored`,
    );
  return damage(
    "unappliable-flush",
    log.nameOf(position),
    `${what}; the last whole state is at position ${wholeUpTo}. A running primary repairs it with a checkpoint (stead checkpoint)`,
  );
}

const leftOverFinding = (left: readonly string[]): Finding =>
  notice("left-over-chunks", left[0] ?? "", `${left.length} chunks belong to no checkpoint; clean-up removes them`);

const divergenceFinding = ({
  position,
  database,
}: {
  readonly position: Position;
  readonly database: string;
}): Finding =>
  damage(
    "damaged-checkpoint",
    checkpointKey(position),
    `${checkpointKey(position)}: ${database === filesStateName ? "the files beside the databases are" : `database ${database} is`} in another state than the journal before it gives: hosts that follow and hosts that restore differ`,
  );

function newestRestorable(
  checkpoints: readonly CheckpointReport[],
  boundary: Position,
  log: LogReport,
  unappliable: readonly UnappliableFlush[],
): VaultReport["restorable"] {
  let best: VaultReport["restorable"];
  for (const { position, whole } of checkpoints) {
    if (!whole || position < boundary) continue;
    const run = log.runs.find(([first, last]) => first <= position + 1 && position <= last);
    const refused = unappliable.find((flush) => flush.position > position);
    const upTo = Math.max(position, Math.min(run?.[1] ?? position, refused?.wholeUpTo ?? Infinity));
    if (best === undefined || upTo >= best.upTo) best = { checkpoint: position, upTo };
  }
  return best;
}
