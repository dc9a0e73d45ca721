/**
 * Makes a new vault from a copy of one that is lost: `stead vault promote-copy`. vault-promote-copy.ts wires the
 * command line.
 *
 * The new vault has an identity and keys of its own, so nothing of the lost vault is ever taken for one of its objects,
 * and a host of the lost vault that wakes up is refused by gateways (`other_log`). It begins with the copy's newest
 * state as the checkpoint at position 0. That checkpoint has an epoch beyond the copy's, from which the log continues:
 * gateways remember the last epoch of the lost vault, which the copy may not have, and believe no lower one
 * (docs/PROTOCOL.md, "epoch-proof"). The number is within what they take without doubt, so it counts like any
 * failover's.
 *
 * The log begins with a claim by no host that is given up at once (`vacate`): hosts then report the epoch, no lease is
 * waited for, and the gateways order a promotion as after any primary that stopped. Gateways must have been stopped at
 * the same time: one that ran meanwhile has heard the identity of the lost vault, and takes no candidate on another
 * one.
 *
 * The copy is only read. A run that was interrupted is repeated: what is there of the new vault without a log is taken
 * up.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type FilePath, pathOf } from "../../capture/data-path.ts";
import { snapshotOfFiles } from "../../capture/files/files-snapshot.ts";
import { epochJumpMax } from "../../core/failover/proof.ts";
import { leaseMsMin } from "../../core/host/lease.ts";
import type { S3Settings } from "../../core/s3-place.ts";
import { allRules } from "../../core/rules.ts";
import { type PointInTime, restoreState } from "../../host/secondary/point-in-time.ts";
import { openVault } from "../../remote/open-vault.ts";
import { systemClock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { systemRandom } from "../../runtime/random.ts";
import {
  type CheckpointDatabase,
  type CheckpointManifest,
  listCheckpoints,
  readManifest,
  startOf,
  writeCheckpoint,
} from "../../vault/checkpoint/checkpoint.ts";
import { PieceReader } from "../../vault/checkpoint/piece-reader.ts";
import { ForeignVaultError, NotAVaultError } from "../../vault/errors.ts";
import { exclusionPrefix } from "../../vault/keys.ts";
import { type Log, readRecord } from "../../vault/log/log.ts";
import { LogReader } from "../../vault/log/log-reader.ts";
import { LogWriter } from "../../vault/log/log-writer.ts";
import { openLog } from "../../vault/log/open-log.ts";
import { genesisHash } from "../../vault/log/record-codec.ts";
import { type LogKind, readIdentity } from "../../vault/store/identity.ts";
import { keyed } from "../../vault/store/keyed-store.ts";
import { readKeys } from "../../vault/store/keyring.ts";
import type { Store } from "../../vault/store/store.ts";
import type { VaultKeys } from "../../vault/store/vault-keys.ts";
import { giveKeys, makeVault } from "./vault-create.ts";

/** A vault, or a copy of one. */
export interface Place {
  readonly url: string;
  readonly s3: S3Settings | undefined;
}

export interface PromoteCopyCommand {
  readonly copy: Place;
  /** Of the new vault: empty. */
  readonly vault: Place;
  readonly service: string;
  /** What opens the keys of the copy; the first one opens those of the new vault. */
  readonly secrets: readonly string[];
  /** How the new vault keeps its log. */
  readonly log?: LogKind | undefined;
  /** Of the new vault's beginning; default: so far beyond the copy's that a gateway takes it without doubt. */
  readonly epoch?: number | undefined;
  /** A folder with room for the databases. */
  readonly in: string;
  /** Told what the copy ends with, before anything is done. */
  readonly onEnd: (end: CopyTail) => void;
  readonly onWarning: (text: string) => void;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Where a copy ends: what was acknowledged after it is lost. */
export interface CopyTail {
  readonly position: number;
  readonly epoch: number;
  readonly host: string | undefined;
  readonly wallTimeMs: number;
}

export interface PromotedCopy {
  readonly lostAfter: CopyTail;
  readonly restored: PointInTime;
  readonly vaultId: string;
  /** Epoch of the new vault's first claim. */
  readonly epoch: number;
}

/** Of the claim that begins the new vault's log. */
const claimant = "promote-copy";
const nowhere = "http://127.0.0.1:9";
const epochsAhead = epochJumpMax - 16;
/** A primary that lives puts a record within half a lease, and copies it within a second. */
const watchMs = 3_000;
const callMsMax = 60_000;

interface Opened {
  readonly store: Store;
  readonly keys: VaultKeys | undefined;
  readonly log: Log;
  readonly id: string;
}

/** Reads where a copy ends; changes nothing. */
export const tailOfCopy = (command: Pick<PromoteCopyCommand, "copy" | "service" | "secrets">): Promise<CopyTail> =>
  withPlace(command.copy, command, (copy) => readTail(copy));

/** Throws OperatorError, the errors of vaults, of restores and of the file system, and the signal's reason. */
export async function promoteCopy(command: PromoteCopyCommand): Promise<PromotedCopy> {
  return withPlace(command.copy, command, async (copy) => {
    const lostAfter = await readTail(copy);
    command.onEnd(lostAfter);
    await systemClock.sleep(watchMs, command.signal);
    if ((await readTail(copy)).position !== lostAfter.position) throw new CopyInUseError(command.copy.url);
    const epoch = command.epoch ?? lostAfter.epoch + epochsAhead;
    if (epoch <= lostAfter.epoch) throw new LowEpochError(epoch, lostAfter.epoch);
    const { url, s3 } = command.vault;
    await makeVault({ url, s3, service: command.service, log: command.log });
    const isEncrypted = copy.keys?.isEncrypting === true;
    const secrets = command.secrets.slice(0, 1);
    if (secrets.length > 0) await giveKeys({ url, s3, secrets, encrypts: isEncrypted });
    return withPlace(command.vault, command, async (vault) => {
      if (isEncrypted && vault.keys?.isEncrypting !== true) throw new VaultInUseError(url, "not encrypted");
      await copyExclusions(copy.store, vault.store);
      const restored = await fill(copy, vault, epoch - 1, command);
      return { lostAfter, restored, vaultId: vault.id, epoch: await beginLog(vault) };
    });
  });
}

/** Restores the copy's newest state, databases and files, and writes it as the first checkpoint of the vault. */
async function fill(copy: Opened, vault: Opened, epoch: number, command: PromoteCopyCommand): Promise<PointInTime> {
  const { signal, onWarning, onProgress } = command;
  const checkpoints = await listCheckpoints(vault.store);
  if (checkpoints.length > 0 || !(await vault.log.isEmpty())) {
    const first = checkpoints.length === 1 ? await readManifest(vault.store, 0) : undefined;
    if (first === undefined || first.epoch === 0 || !(await vault.log.isEmpty()))
      throw new VaultInUseError(command.vault.url, "in use already");
  }
  const scratch = await mkdtemp(join(command.in, "stead-promote-copy-"));
  try {
    const folder = join(scratch, "databases");
    const { restored, tree } = await restoreState({
      ...{ store: copy.store, log: copy.log, moment: { kind: "newest" }, folder, signal, onWarning },
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    if (checkpoints.length > 0) return restored;
    const { wallTimeMs } = restored;
    const databases = await Promise.all(restored.databases.map((database) => readable(folder, database)));
    const pieces = new PieceReader(copy);
    const files = tree === undefined ? undefined : snapshotOfFiles(folder, tree, (wanted) => pieces.read(wanted));
    await writeCheckpoint({
      ...{ store: vault.store, position: 0, hash: genesisHash, epoch, wallTimeMs, databases, files, signal },
    });
    return restored;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Offset of the page size in the header of a SQLite database, big-endian; 1 means 65536. */
const pageSizeOffset = 16;

async function readable(
  folder: string,
  { name, bytes, checksum }: PointInTime["databases"][number],
): Promise<CheckpointDatabase> {
  const path = pathOf(folder, name);
  const file = await open(path, "r");
  try {
    const header = Buffer.alloc(pageSizeOffset + 2);
    if (bytes > 0) await file.read(header, 0, header.length, 0);
    const written = header.readUInt16BE(pageSizeOffset);
    const pageSize = written === 1 ? 65_536 : written === 0 ? 4_096 : written;
    return {
      ...{ name, pageSize, pageCount: bytes / pageSize, checksum: new Uint8Array(Buffer.from(checksum, "hex")) },
      read: (offset, length) => readPart(path, offset, length),
    };
  } finally {
    await file.close();
  }
}

async function readPart(path: FilePath, offset: number, length: number): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, offset);
    if (bytesRead !== length) throw new Error(`${path} ends at ${offset + bytesRead}, within a page`);
    return bytes;
  } finally {
    await file.close();
  }
}

/** Returns the epoch of the claim. */
async function beginLog({ store, log }: Opened): Promise<number> {
  const manifest: CheckpointManifest | undefined = await readManifest(store, 0);
  if (manifest === undefined) throw new NotAVaultError(store.url, "the checkpoint that was just written is missing");
  const reader = new LogReader({ log, start: startOf(manifest), rules: allRules });
  await reader.next();
  const [clock, random] = [systemClock, systemRandom];
  const instance = Buffer.from(random.bytes(8)).toString("hex");
  const claim = { reader, clock, random, host: claimant, leaseMs: leaseMsMin, controlUrl: nowhere, instance };
  const outcome = await LogWriter.claim({ ...claim, rules: allRules });
  if (outcome.kind !== "claimed") throw new VaultInUseError(store.url, "written by a host already");
  await outcome.writer.append({ kind: "vacate", reason: "promoted from a copy", successor: undefined });
  return outcome.writer.epoch;
}

async function copyExclusions(from: Store, to: Store): Promise<void> {
  for (const key of await from.list(exclusionPrefix)) {
    const content = await from.get(key);
    if (content !== undefined) await to.putIfAbsent(key, content);
  }
}

async function readTail({ store, log }: Opened): Promise<CopyTail> {
  const boundary = await log.boundary();
  let position = boundary;
  for (const each of await log.positions(boundary)) {
    if (each !== position + 1) break;
    position = each;
  }
  // A copy that goes over to a newer checkpoint may have it already.
  const newest = (await listCheckpoints(store)).at(-1);
  if (newest === undefined)
    throw new NotAVaultError(store.url, "it has no checkpoint: nothing can be restored from it");
  const record = position > boundary && position >= newest ? await readRecord(log, position) : undefined;
  if (record !== undefined) {
    const { epoch, host, wallTimeMs } = record.header;
    return { position, epoch, host, wallTimeMs };
  }
  const manifest = await readManifest(store, newest);
  const { epoch = 0, wallTimeMs = 0 } = manifest ?? {};
  return { position: newest, epoch, host: undefined, wallTimeMs };
}

async function withPlace<T>(
  { url, s3 }: Place,
  { service, secrets }: Pick<PromoteCopyCommand, "service" | "secrets">,
  use: (opened: Opened) => Promise<T>,
): Promise<T> {
  const raw = await openVault(url, { secrets: () => secrets, timeoutMs: callMsMax, s3 });
  try {
    const identity = await readIdentity(raw);
    if (identity === undefined) throw new NotAVaultError(url, "it has no identity");
    if (identity.service !== service) throw new ForeignVaultError(url, identity.service, service);
    const keys = await readKeys(raw, identity, secrets);
    const store = keyed(raw, keys);
    return await use({ store, keys, log: openLog(store, identity, { keys }), id: identity.id });
  } finally {
    await raw.close();
  }
}

/** It grew while it was watched. */
class CopyInUseError extends OperatorError {
  constructor(url: string) {
    super("vault", {
      found: `the copy ${url} is being written: a primary is alive, and so is its vault`,
      accepted: "the copy of a vault that is lost, with all hosts stopped",
      advice: "stop all hosts first",
    });
  }
}

class LowEpochError extends OperatorError {
  constructor(epoch: number, last: number) {
    super("usage", {
      found: `--epoch ${epoch}, and the copy ends in epoch ${last}`,
      accepted: `more than ${last}`,
      advice: "leave it out, or name one beyond what `stead status` shows",
    });
  }
}

class VaultInUseError extends OperatorError {
  constructor(url: string, found: string) {
    super("vault", {
      found: `the vault ${url} is ${found}`,
      accepted: "an empty place for the new vault",
      advice: "move away what is there, or name another place in host.vault",
    });
  }
}
