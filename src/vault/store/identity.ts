/**
 * The identity of a vault. A vault belongs to one service for its whole life; a host of another service is refused
 * before it reads a single record.
 *
 * `identity.json` is written once, with `putIfAbsent`, so two processes that create the vault agree on one identity.
 */
import { systemClock, type Clock } from "../../runtime/clock.ts";
import { systemRandom, type Random } from "../../runtime/random.ts";
import { CopyOfVaultError, ForeignVaultError, NotAVaultError, quoteFound, UnknownFormatError } from "../errors.ts";
import { identityKey } from "../keys.ts";
import { smallObjectBytesMax, serviceNameBytesMax } from "../limits.ts";
import type { Store } from "./store.ts";

const format = "stead-vault";
/** Where a vault has its log: as objects of the store (store-log.ts), or in segments (segment-log.ts). For its life. */
export type LogKind = "objects" | "segments";

/**
 * Version 2 says where the log is. Programs that know only the objects of version 1 refuse it. Version 3 is a copy of a
 * vault (copy/vault-copier.ts), with its log in objects: no host writes there, whatever its version.
 */
const versions: Readonly<Record<LogKind | "copy", number>> = { objects: 1, segments: 2, copy: 3 };

export interface VaultIdentity {
  readonly service: string;
  /** Random, in hex: distinguishes this vault from another one of the same service (a copy, a fresh start). */
  readonly id: string;
  readonly createdMs: number;
  readonly log: LogKind;
  /** It is a copy of the vault with this id; left out: it is the vault itself. */
  readonly isCopy?: true;
}

/**
 * Returns the identity of a copy of a vault, as bytes: those of any two writers are the same.
 */
export function copyIdentityOf({ service, id, createdMs }: Omit<VaultIdentity, "log">): Uint8Array {
  return Buffer.from(`${JSON.stringify({ format, version: versions.copy, service, id, createdMs }, null, 2)}\n`);
}

/** Returns undefined if there is none. Throws StoreError, NotAVaultError (unreadable), UnknownFormatError. */
export async function readIdentity(store: Store): Promise<VaultIdentity | undefined> {
  const bytes = await store.get(identityKey, smallObjectBytesMax);
  return bytes === undefined ? undefined : parseIdentity(store.url, bytes);
}

export interface IdentityOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Of a new vault. Default: objects. */
  readonly log?: LogKind | undefined;
}

/**
 * Makes sure that the vault belongs to this service: writes the identity into an empty store, verifies an existing one.
 * Throws ForeignVaultError if it belongs to another service, CopyOfVaultError if it is the copy of a vault, RangeError
 * for an invalid service name.
 */
export async function ensureIdentity(
  store: Store,
  service: string,
  { clock = systemClock, random = systemRandom, log = "objects" }: IdentityOptions = {},
): Promise<VaultIdentity> {
  assertServiceName(service);
  let found = await readIdentity(store);
  if (found === undefined) {
    const id = Buffer.from(random.bytes(16)).toString("hex");
    const place = log === "objects" ? {} : { log };
    const identity = { format, version: versions[log], service, id, createdMs: clock.wallTime(), ...place };
    await store.putIfAbsent(identityKey, Buffer.from(`${JSON.stringify(identity, null, 2)}\n`));
    found = await readIdentity(store);
  }
  if (found === undefined) throw new NotAVaultError(store.url, `${identityKey} disappeared right after it was written`);
  if (found.service !== service) throw new ForeignVaultError(store.url, found.service, service);
  if (found.isCopy === true) throw new CopyOfVaultError(store.url, found.id);
  return found;
}

export function assertServiceName(service: string): void {
  const bytes = Buffer.byteLength(service, "utf8");
  if (bytes < 1 || bytes > serviceNameBytesMax)
    throw new RangeError(`a service name of ${bytes} bytes, 1 to ${serviceNameBytesMax} are allowed`);
}

function parseIdentity(url: string, bytes: Uint8Array): VaultIdentity {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new NotAVaultError(url, `${identityKey} is not JSON`, { cause: error });
  }
  if (typeof value !== "object" || value === null || !("format" in value) || value.format !== format) {
    throw new NotAVaultError(url, `${identityKey} is not that of a vault`);
  }
  const found: Partial<Record<"format" | "version" | "service" | "id" | "createdMs" | "log", unknown>> = value;
  const isCopy = found.version === versions.copy;
  const log =
    isCopy || found.version === versions.objects
      ? "objects"
      : found.version === versions.segments
        ? "segments"
        : undefined;
  if (log === undefined)
    throw new UnknownFormatError(identityKey, `version ${quoteFound(String(found.version))}`, "versions 1 to 3");
  if (log === "segments" && found.log !== log)
    throw new UnknownFormatError(identityKey, `the log ${quoteFound(String(found.log))}`, `"segments"`);
  const { service, id, createdMs } = found;
  if (typeof service !== "string" || typeof id !== "string" || typeof createdMs !== "number") {
    throw new NotAVaultError(url, `${identityKey} has no service, id or createdMs`);
  }
  return { service, id, createdMs, log, ...(isCopy ? { isCopy } : {}) };
}
