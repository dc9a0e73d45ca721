/**
 * `stead vault verify|ls|restore|gc|rekey`: inspects a vault without a running cluster. The first three only read it;
 * `gc` lists what it would remove unless told to remove it, and may run beside a primary
 * (src/vault/checkpoint/retention.ts); `rekey` changes what opens its keys (src/vault/store/keyring.ts).
 *
 * Plain functions with an output sink; vault-commands.ts wires the command line. Vault errors are thrown, with advice.
 */
import type { S3Settings } from "../../core/s3-place.ts";
import { databaseBytes, listCheckpoints, readManifest } from "../../vault/checkpoint/checkpoint-manifest.ts";
import { pageProof } from "../../host/secondary/page-proof.ts";
import { type PointInTime, type PointInTimeOptions, restoreMoment } from "../../host/secondary/point-in-time.ts";
import { CopyOfVaultError, ForeignVaultError, isVaultError, NotAVaultError } from "../../vault/errors.ts";
import { readIdentity, type VaultIdentity } from "../../vault/store/identity.ts";
import { chunkPrefix } from "../../vault/keys.ts";
import { decodeOf, type Log } from "../../vault/log/log.ts";
import { openLog } from "../../vault/log/open-log.ts";
import type { LogRecord, RecordBody } from "../../vault/record.ts";
import { keyed } from "../../vault/store/keyed-store.ts";
import { keysOf, type OpenedKeyring, readKeyring, sealAgain, withNextKey } from "../../vault/store/keyring.ts";
import type { Store } from "../../vault/store/store.ts";
import type { VaultKeys } from "../../vault/store/vault-keys.ts";
import {
  contentForEncryption,
  contentForHosts,
  turnOnKeys,
  withOpen,
  writtenByServer,
} from "../../vault/log/turn-on-keys.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { ProgressUnit } from "../../runtime/progress-report.ts";
import { isDamaged, type VaultReport, verifyVault } from "../../vault/verify/verify.ts";
import { openVault } from "../../remote/open-vault.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { describeRestoreTest, hasPassed, type RestoreTest, testRestore } from "./restore-test.ts";

export interface VaultCommand {
  /** `file:///absolute/path`, an absolute path, `stead://host:port`, or `s3://bucket/prefix`. */
  readonly url: string;
  /** Where a bucket is. */
  readonly s3?: S3Settings | undefined;
  /** Of the cluster: a vault server needs it. Default: the first of `secrets`. */
  readonly secret?: string | undefined;
  /** What opens the vault's keys, if it has any. */
  readonly secrets?: readonly string[] | undefined;
  readonly out: (line: string) => void;
  /** Print one JSON object only. */
  readonly json?: boolean;
  readonly signal?: AbortSignal;
}

export interface VerifyCommand extends VaultCommand {
  /** If set, another service's vault is refused. */
  readonly service?: string;
  /** Absolute path of a folder in which the newest state is restored, checked and removed again; default: it is not. */
  readonly restoreIn?: string;
  /** How far the stage `what` is. */
  readonly onProgress?: (what: string, done: number, total: number, unit: ProgressUnit) => void;
}

/** Reads all of the vault, and tests a restore if asked to. Returns `verdict` if anything is damaged. */
export async function vaultVerify(command: VerifyCommand): Promise<{ exitCode: ExitCode; report: VaultReport }> {
  const report = await reportOf(command);
  const { restoreIn, json, out } = command;
  const restore = restoreIn === undefined ? undefined : await testRestoreOf(command, restoreIn);
  const isWhole = !isDamaged(report) && (restore === undefined || hasPassed(restore));
  if (json === true) out(JSON.stringify({ ok: isWhole, ...report, ...(restore === undefined ? {} : { restore }) }));
  else {
    printReport(report, out);
    for (const line of restore === undefined ? [] : describeRestoreTest(restore)) out(line);
    out(isWhole ? "verdict      whole" : "verdict      DAMAGED");
  }
  return { exitCode: isWhole ? exitCodes.ok : exitCodes.verdict, report };
}

const testRestoreOf = (command: VerifyCommand, parent: string): Promise<RestoreTest> => {
  const { url, s3, secret, secrets, service, signal, onProgress: tell } = command;
  const stage = (what: string) => (done: number, total: number) => tell?.(what, done, total, "bytes");
  const onProgress = stage("loading the checkpoint");
  // Where a newer checkpoint is damaged an older one is used: the report names it.
  const options = { moment: { kind: "newest" }, onWarning: () => undefined } as const;
  const restore = (folder: string): Promise<PointInTime> =>
    restoreFromVault({ url, s3, secret, secrets, service, folder, signal, onProgress, ...options });
  return testRestore(restore, parent, signal, stage("checking the restored databases"));
};

const reportOf = (command: VerifyCommand): Promise<VaultReport> =>
  withVault(command, ({ store, keys }) =>
    verifyVault(store, {
      proof: pageProof,
      keys,
      ...(command.service === undefined ? {} : { service: command.service }),
      ...(command.signal === undefined ? {} : { signal: command.signal }),
      onProgress: (stage, done, total) =>
        command.onProgress?.(`verifying the ${stage}`, done, total, stage === "log" ? "records" : "bytes"),
    }),
  );

function printReport(report: VaultReport, out: (line: string) => void): void {
  for (const finding of report.findings)
    out(`${finding.severity === "damage" ? "DAMAGE" : "notice"}  ${finding.kind}: ${finding.message}`);
  const { identity, restorable } = report;
  out(`vault        ${report.url} (${identity === undefined ? "no identity" : `service ${identity.service}`})`);
  out(
    `log          ${report.records} records, last position ${report.lastPosition}, retention boundary ${report.boundary}`,
  );
  out(`primary      epoch ${report.epoch}${report.host === undefined ? "" : `, host ${report.host}`}`);
  for (const { position, whole, databases, bytes, files, wallTimeMs } of report.checkpoints) {
    const what = `${counted(databases, "database")}, ${bytes} bytes${besides(files)}`;
    const made = wallTimeMs === undefined ? "" : `, ${time(wallTimeMs)}`;
    const kept = alone(position, report.boundary);
    out(`checkpoint   ${position}: ${whole ? "whole" : "DAMAGED"}, ${what}${made}${kept}`);
  }
  out(`chunks       ${report.chunks}, of which left over ${report.leftOverChunks}`);
  out(
    restorable === undefined
      ? "restorable   NOTHING: no checkpoint is whole"
      : `restorable   checkpoint ${restorable.checkpoint} and the journal up to position ${restorable.upTo}`,
  );
  const lost = report.lastPosition - (restorable?.upTo ?? 0);
  if (lost > 0) out(`missing      ${lost} positions after that cannot be restored`);
}

export interface LsCommand extends VaultCommand {
  /** Also print one line for each record of the log. */
  readonly records?: boolean;
}

/** Lists the vault's contents from names and manifests; verifies nothing. */
export async function vaultLs(command: LsCommand): Promise<{ exitCode: ExitCode }> {
  await withVault(command, async ({ store, keys }) => {
    const identity = await readIdentity(store);
    const vaultLog = openLog(store, identity ?? unknownIdentity, { keys });
    const positions = await vaultLog.positions();
    const boundary = await vaultLog.boundary();
    const checkpoints: Awaited<ReturnType<typeof describeCheckpoint>>[] = [];
    // One after the other: with a history there are many, and a manifest may be large.
    for (const position of await listCheckpoints(store))
      checkpoints.push(await describeCheckpoint(store, position, boundary));
    const chunks = (await store.list(chunkPrefix)).length;
    const log = { records: positions.length, first: positions[0] ?? 0, last: positions.at(-1) ?? 0, boundary };
    const records = command.records === true ? await describeRecords(vaultLog, positions, command.signal) : undefined;
    if (command.json === true) {
      command.out(JSON.stringify({ url: store.url, identity, log, checkpoints, chunks, records }));
      return;
    }
    command.out(
      `vault        ${store.url} (service ${identity?.service ?? "unknown"}, made ${time(identity?.createdMs ?? 0)}, log in ${identity?.log ?? "objects"})`,
    );
    command.out(
      `log          ${log.records} records, positions ${log.first} to ${log.last}, retention boundary ${boundary}`,
    );
    for (const record of records ?? []) command.out(`record       ${record.position} ${record.summary}`);
    for (const checkpoint of checkpoints) command.out(`checkpoint   ${checkpoint.position}: ${checkpoint.summary}`);
    command.out(`chunks       ${chunks}`);
  });
  return { exitCode: exitCodes.ok };
}

/** Takes the service name from the vault; `service` refuses another service's vault. */
export async function restoreFromVault(
  command: Omit<PointInTimeOptions, "store" | "log"> &
    Pick<VaultCommand, "url" | "s3" | "secret" | "secrets"> & { readonly service: string | undefined },
): Promise<PointInTime> {
  const { url, s3, secret, secrets, service: expected, ...options } = command;
  return await withVault({ url, s3, secret, secrets }, async ({ store, keys }) => {
    const identity = await readIdentity(store);
    if (identity === undefined) throw new NotAVaultError(store.url, "it has no identity");
    const { service } = identity;
    if (expected !== undefined && service !== expected) throw new ForeignVaultError(store.url, service, expected);
    return restoreMoment({ ...options, store, log: openLog(store, identity, { keys }) });
  });
}

export interface RekeyCommand {
  readonly url: string;
  readonly s3?: S3Settings | undefined;
  /** As in VaultCommand. */
  readonly secret?: string | undefined;
  /** Open the keys from now on. */
  readonly secrets: readonly string[];
  /** Open the keys too, now. */
  readonly formerSecrets: readonly string[];
  /** And afterwards. */
  readonly keepsFormer: boolean;
  /** Everything from now on. */
  readonly encrypts?: boolean | undefined;
  /** With a new key from now on. */
  readonly withNewKey?: boolean | undefined;
}

export interface Rekeyed {
  /** The vault had no keys before. */
  readonly isNew: boolean;
  /** How many secrets open them. */
  readonly opensWith: number;
  /** Of the key that writes from now on. */
  readonly keyNumber: number;
  readonly encrypts: boolean;
}

/** Gives a vault its keys, lets these secrets open them, and adds a key if that is asked for. */
export async function vaultRekey(command: RekeyCommand): Promise<Rekeyed> {
  const { url, s3, secrets, formerSecrets, keepsFormer, encrypts } = command;
  if (secrets.length === 0)
    throw new OperatorError("configuration", {
      found: "no cluster secret is known",
      accepted: "the cluster's secret, which opens the keys",
      advice: "name the configuration with --config, or give the secret with --secret-file or in STEAD_SECRET",
    });
  const store = await openVault(url, { secrets: () => callSecrets(command), timeoutMs: callMsMax, s3 });
  try {
    const identity = await readIdentity(store);
    if (identity === undefined) throw new NotAVaultError(store.url, "it has no identity");
    if (identity.isCopy === true) throw new CopyOfVaultError(store.url, identity.id);
    const known = await readKeyring(store, identity, [...secrets, ...formerSecrets]);
    if (known === undefined) {
      const made = await turnOnKeys(store, identity, secrets, { encrypts: encrypts === true });
      return { isNew: true, opensWith: secrets.length, ...lastKeyOf(made) };
    }
    const opening = keepsFormer ? [...secrets, ...formerSecrets] : secrets;
    const next = await nextContent(store, identity, await contentForHosts(store, identity, known), command);
    if (!(await sealAgain(store, identity, opening, next)))
      throw new OperatorError("vault", {
        found: "another process has changed the keyring at the same time",
        advice: "run the command again",
      });
    return { isNew: false, opensWith: opening.length, ...lastKeyOf(next) };
  } finally {
    await store.close();
  }
}

/** Encryption begins where the log stands still; a later key begins anywhere, and hosts take it when they meet it. */
async function nextContent(
  store: Store,
  identity: VaultIdentity,
  ring: OpenedKeyring,
  { encrypts = false, withNewKey = false }: RekeyCommand,
): Promise<OpenedKeyring> {
  const isEncrypted = lastKeyOf(ring).encrypts;
  if (encrypts && !isEncrypted) return contentForEncryption(store, identity, ring);
  return withNewKey ? { ...ring, content: withNextKey(ring.content, isEncrypted) } : ring;
}

function lastKeyOf({ content }: OpenedKeyring): Pick<Rekeyed, "keyNumber" | "encrypts"> {
  const last = content.keys.at(-1);
  return { keyNumber: last?.number ?? 0, encrypts: last?.encrypts === true };
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

const besides = (files: { readonly count: number; readonly bytes: number } | undefined): string =>
  files === undefined ? "" : `, ${counted(files.count, "file")} of ${files.bytes} bytes`;

async function describeCheckpoint(
  store: Store,
  position: number,
  boundary: number,
): Promise<{ position: number; summary: string }> {
  try {
    const manifest = await readManifest(store, position);
    if (manifest === undefined) return { position, summary: "removed just now" };
    const names = manifest.databases
      .map((database) => `${database.name} (${databaseBytes(database)} bytes)`)
      .join(", ");
    return {
      position,
      summary: `epoch ${manifest.epoch}, ${time(manifest.wallTimeMs)}, ${names === "" ? "no database" : names}${besides(manifest.files)}${alone(position, boundary)}`,
    };
  } catch (error) {
    if (isVaultError(error)) return { position, summary: `UNREADABLE: ${error.message}` };
    throw error;
  }
}

/** Below the boundary a checkpoint is kept by host.checkpoint.history. */
const alone = (position: number, boundary: number): string =>
  position < boundary ? "; this moment alone: the log after it is gone" : "";

async function describeRecords(
  log: Log,
  positions: readonly number[],
  signal?: AbortSignal,
): Promise<{ position: number; summary: string }[]> {
  const lines: { position: number; summary: string }[] = [];
  for (const position of positions) {
    signal?.throwIfAborted();
    const bytes = await log.get(position);
    if (bytes === undefined) continue;
    try {
      const record = await decodeOf(log, position, bytes);
      const { header, body } = record;
      lines.push({
        position,
        summary: `${body.kind} epoch ${header.epoch} host ${header.host} ${time(header.wallTimeMs)} ${bytes.length} bytes${detail(body)}${formatOf(record)}`,
      });
    } catch (error) {
      if (!isVaultError(error)) throw error;
      lines.push({ position, summary: `UNREADABLE: ${error.message}` });
    }
  }
  return lines;
}

/** Returns nothing for a record of format 1. */
function formatOf({ format, sections, steadVersion }: LogRecord): string {
  if (format === 1) return "";
  const kinds = sections.map(({ kind, isRequired }) => (isRequired ? kind : `${kind} (optional)`));
  return ` format ${format} of stead ${steadVersion ?? "?"}${kinds.length === 0 ? "" : ` sections ${kinds.join(", ")}`}`;
}

function detail(body: RecordBody): string {
  switch (body.kind) {
    case "epoch":
      return ` lease ${body.leaseMs} ms`;
    case "commit":
      return ` part ${body.part}/${body.parts} pages ${body.databases.reduce((sum, { pages }) => sum + pages.length, 0)}`;
    case "checkpoint":
      return ` of position ${body.checkpointPosition}`;
    case "vacate":
      return ` "${body.reason}"${body.successor === undefined ? "" : ` successor ${body.successor}`}`;
    case "renew":
      return "";
  }
}

/** Of a folder without one: its log is looked for where the first version had it. */
export const unknownIdentity = { service: "", log: "objects" } as const;

const callMsMax = 60_000;

interface OpenedVault {
  /** Authenticates, if the vault has keys. */
  readonly store: Store;
  readonly keys: VaultKeys | undefined;
}

/** Commands read a folder also while a vault server has it. */
async function keysFor(
  store: Store,
  identity: VaultIdentity,
  secrets: readonly string[],
): Promise<VaultKeys | undefined> {
  const ring = await readKeyring(store, identity, secrets);
  if (ring === undefined) return undefined;
  return keysOf(identity, store.log === undefined ? withOpen(ring, await writtenByServer(store)) : ring);
}

/** What a vault server may know: the cluster's secret, and while it is rotated the former one. */
const callSecrets = ({ secret, secrets = [] }: Pick<VaultCommand, "secret" | "secrets">): readonly string[] => [
  ...new Set([...(secret === undefined ? [] : [secret]), ...secrets]),
];

/** Throws KeyringError if the vault has keys that the secrets do not open. */
export async function withVault<T>(
  { url, s3, secrets = [], secret }: Pick<VaultCommand, "url" | "s3" | "secret" | "secrets">,
  use: (vault: OpenedVault) => Promise<T>,
): Promise<T> {
  const store = await openVault(url, { secrets: () => callSecrets({ secret, secrets }), timeoutMs: callMsMax, s3 });
  try {
    const identity = await readIdentity(store).catch(onlyUnreadable);
    const keys = identity === undefined ? undefined : await keysFor(store, identity, secrets);
    return await use({ store: keyed(store, keys), keys });
  } finally {
    await store.close();
  }
}

/** Each command says by itself what it makes of an identity that is damaged. */
function onlyUnreadable(error: unknown): undefined {
  if (!isVaultError(error)) throw error;
}

const time = (wallTimeMs: number): string => new Date(wallTimeMs).toISOString();
