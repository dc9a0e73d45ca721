/**
 * Serves a vault's folder: one process owns it, and hosts use it over the network.
 *
 * Why a server that was started again, doubled or restored is not believed:
 * - **One process of a folder.** A lock keeps a second server of this machine out, and is released by the kernel with
 *   the process. Safety does not rest on it: each server takes the whole log by a claim when it starts
 *   (SegmentLog.takeAll), and the one before acknowledges nothing from then on, frozen, slow or on another machine. It
 *   ends when it finds out.
 * - **Started again.** What was acknowledged was durable, and the server reads it before it answers anything. A record
 *   that was written and not acknowledged may be in the log or not; its host puts it again, and learns which (R3).
 * - **Restored from an older copy, or serving a copy.** Each connection begins with the highest record that the host
 *   has read or written there, also in an earlier run (host/machine/known-end-file.ts). A server without it, or with
 *   another record in its place, says so, and the host uses nothing of it and waits. An order to take over names how
 *   far the primary had come (host/control/order-evidence.ts), so a host that knows less does not take over on such a
 *   copy.
 * - **Without the vault's keys.** It verifies no record, and hosts verify all (vault/log/served-log.ts).
 * - **What that leaves.** A copy that has everything which a host knows cannot be told from the original by that host.
 */
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Clock } from "../runtime/clock.ts";
import { FileLock, lockHolder } from "../runtime/file-lock.ts";
import type { Logger } from "../runtime/log.ts";
import { messageOf, OperatorError } from "../runtime/operator-error.ts";
import { programVersion } from "../runtime/program-version.ts";
import type { Random } from "../runtime/random.ts";
import { NotAVaultError } from "../vault/errors.ts";
import { LogTakenError } from "../vault/log/segment/segment-claims.ts";
import { SegmentLog } from "../vault/log/segment/segment-log.ts";
import { readIdentity } from "../vault/store/identity.ts";
import { openStore, whyReadableByOthers } from "../vault/store/open-store.ts";
import { type Store, StoreError } from "../vault/store/store.ts";
import { ServedCalls } from "./served-calls.ts";
import { UnverifiedStore } from "./unverified-store.ts";
import { VaultServer } from "./vault-server.ts";

export interface ServeOptions {
  /** Absolute path of the vault's folder. */
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  /** Of the cluster, those that are valid now. */
  readonly secrets: () => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface RunningVaultServer {
  readonly port: number;
  /** Rejects with LogTakenError if another process takes the folder; never resolves before `close`. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

/** In the vault's folder. */
const lockName = "tmp/.vault-server";

/** Another vault server has the folder. */
class FolderServedError extends OperatorError {
  constructor(folder: string, holder: number | undefined) {
    super("resource", {
      found: `another vault server${holder === undefined ? "" : ` (process ${holder})`} has ${folder}`,
      accepted: "one running vault server for each folder",
      advice: "Stop that one (a frozen one keeps its folder until it is killed), or serve another folder.",
    });
  }
}

/** Throws OperatorError: NotAVaultError, StoreError, ListenError and others, before it answers anything. */
export async function serveVault(options: ServeOptions): Promise<RunningVaultServer> {
  const { folder, clock, random, secrets, log } = options;
  const store = await openStore(folder);
  const ending = Promise.withResolvers<void>();
  ending.promise.catch(() => undefined);
  let lock: FileLock | undefined;
  try {
    lock = takeLock(folder);
    const { service, id } = await servedIdentity(store);
    const why = await whyReadableByOthers(pathToFileURL(folder).href);
    if (why !== undefined) log.warn(why);
    if (store.files === undefined) throw notHere(store);
    const vaultLog = new SegmentLog({ store: new UnverifiedStore(store), files: store.files, service, clock, random });
    await vaultLog.takeAll();
    const calls = new ServedCalls({
      store,
      log: vaultLog,
      onFailure: (error) => {
        if (error instanceof LogTakenError) ending.reject(error);
        else log.warn("a call failed", { why: messageOf(error) });
      },
    });
    const server = await VaultServer.listen({
      host: options.host,
      port: options.port,
      secrets,
      clock,
      random,
      answer: (call) => calls.answer(call),
      status: async () => ({
        version: programVersion,
        service,
        vault_id: id,
        folder,
        position: (await vaultLog.positions()).at(-1) ?? 0,
        boundary: await vaultLog.boundary(),
        connections: server.connections,
      }),
      onRefused: (reason, address) => log.warn("refused a connection", { reason, address }),
    });
    ending.promise.catch(() => server.abort());
    const taken = lock;
    const close = async (): Promise<void> => {
      server.abort();
      ending.resolve();
      await store.close().finally(() => taken?.release());
    };
    return { port: server.port, ended: ending.promise, close };
  } catch (error) {
    await store.close().finally(() => lock?.release());
    throw error;
  }
}

function takeLock(folder: string): FileLock {
  const path = join(folder, lockName);
  const lock = FileLock.take(path);
  if (lock === undefined) throw new FolderServedError(folder, lockHolder(path));
  return lock;
}

async function servedIdentity(store: Store): Promise<{ readonly service: string; readonly id: string }> {
  const identity = await readIdentity(store);
  if (identity === undefined) throw new NotAVaultError(store.url, "it has no identity");
  if (identity.log === "segments") return identity;
  throw new StoreError(
    "unsuitable",
    `the log of ${fileURLToPath(store.url)} is in objects`,
    "A vault server needs a log in segments: `stead vault create --log segments` makes such a vault.",
  );
}

const notHere = ({ url }: Store): StoreError =>
  new StoreError(
    "unsuitable",
    `${url} may be shared with other machines`,
    "A vault server runs on the machine that has the disk: name a folder of a local file system.",
  );
