/**
 * Impairments of a host whose process is healthy: its disks, its path to the vault, its descriptors.
 *
 * Fed by the canary and by every put of the host (src/host/machine/canary.ts). This only reports: the gateway, which
 * sees all hosts, decides whether to move a primary, and where. A hung disk answers nothing, so a stall is derived from
 * the time since the check began, whenever the condition is queried.
 *
 * Pure; times are this host's monotonic milliseconds.
 */
export interface Impairment {
  readonly kind: "disk" | "vault" | "descriptors";
  readonly reason: string;
  readonly forMs: number;
}

/** A failed attempt to write: the error's code (`EROFS`) if it has one, and its text. */
export interface WriteFailure {
  readonly code: string | undefined;
  readonly message: string;
}

interface Since {
  readonly reason: string;
  readonly since: number;
}

interface DiskCondition {
  /** When the check began that has not answered yet. */
  readonly askedAt: number | undefined;
  readonly failing: Since | undefined;
}

export interface HostCondition {
  /** Keyed by the description of the place: "the data folder /var/lib/notes". */
  readonly disks: ReadonlyMap<string, DiskCondition>;
  readonly vault: {
    readonly id: string | undefined;
    readonly wroteAt: number | undefined;
    /** Durations of the last writes that succeeded, oldest first. */
    readonly latenciesMs: readonly number[];
    readonly failing: Since | undefined;
  };
  readonly descriptors: Since | undefined;
}

export type ConditionEvent =
  | { readonly kind: "disk-asked"; readonly place: string }
  | { readonly kind: "disk-answered"; readonly place: string; readonly failure: WriteFailure | undefined }
  | { readonly kind: "vault-wrote"; readonly ms: number }
  | { readonly kind: "vault-failed"; readonly reason: string }
  /** Its identity was read; undefined: it no longer has one. */
  | { readonly kind: "vault-identified"; readonly id: string | undefined }
  | { readonly kind: "descriptors-ran-out"; readonly reason: string }
  | { readonly kind: "descriptors-are-there" };

/** The latency is the median of this many writes. */
const latenciesKept = 9;

/** `vaultId`: as read at the start; undefined: the vault has none. */
export const initialCondition = (vaultId: string | undefined): HostCondition => ({
  disks: new Map(),
  vault: { id: vaultId, wroteAt: undefined, latenciesMs: [], failing: undefined },
  descriptors: undefined,
});

export function stepCondition(condition: HostCondition, event: ConditionEvent, now: number): HostCondition {
  const { vault } = condition;
  switch (event.kind) {
    case "disk-asked":
      return withDisk(condition, event.place, { askedAt: now, failing: condition.disks.get(event.place)?.failing });
    case "disk-answered": {
      const { failing } = condition.disks.get(event.place) ?? {};
      return withDisk(condition, event.place, {
        askedAt: undefined,
        failing: lasting(failing, diskImpairment(event.place, event.failure), now),
      });
    }
    case "vault-wrote":
      return {
        ...condition,
        vault: {
          ...vault,
          wroteAt: now,
          latenciesMs: [...vault.latenciesMs, event.ms].slice(-latenciesKept),
          failing: undefined,
        },
      };
    case "vault-failed":
      // The first text stays: the same failure is reported with the key of each put.
      return { ...condition, vault: { ...vault, failing: vault.failing ?? { reason: event.reason, since: now } } };
    case "vault-identified":
      return { ...condition, vault: { ...vault, id: event.id } };
    case "descriptors-ran-out":
      return { ...condition, descriptors: lasting(condition.descriptors, event.reason, now) };
    case "descriptors-are-there":
      return condition.descriptors === undefined ? condition : { ...condition, descriptors: undefined };
  }
}

/** `diskStallMs`: a disk that has not answered for this long is impaired (`host.disk_stall`). */
export function impairmentsOf(
  { disks, vault, descriptors }: HostCondition,
  now: number,
  diskStallMs: number,
): Impairment[] {
  const found: Impairment[] = [];
  const tell = (kind: Impairment["kind"], { reason, since }: Since): void =>
    void found.push({ kind, reason, forMs: now - since });
  for (const [place, { askedAt, failing }] of disks) {
    if (askedAt !== undefined && now - askedAt > diskStallMs)
      tell("disk", {
        reason: `${place} has not answered a small write for more than ${diskStallMs} ms`,
        since: askedAt,
      });
    else if (failing !== undefined) tell("disk", failing);
  }
  if (vault.failing !== undefined) tell("vault", vault.failing);
  if (descriptors !== undefined) tell("descriptors", descriptors);
  return found;
}

export interface VaultHealth {
  readonly id: string | undefined;
  readonly wroteMs: number | undefined;
  readonly writeError: string | undefined;
  readonly latencyMs: number | undefined;
}

export function vaultHealthOf({ vault }: HostCondition, now: number): VaultHealth {
  const { id, wroteAt, failing, latenciesMs } = vault;
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  return {
    id,
    wroteMs: wroteAt === undefined ? undefined : now - wroteAt,
    writeError: failing?.reason,
    latencyMs: sorted[Math.floor(sorted.length / 2)],
  };
}

/** True for the errors that say that a process, or the whole system, has no descriptor left. */
export const areDescriptorsOut = (code: string | undefined): boolean => code === "EMFILE" || code === "ENFILE";

function diskImpairment(place: string, failure: WriteFailure | undefined): string | undefined {
  // Running out of descriptors says nothing about the disk, which was not tested.
  if (failure === undefined || areDescriptorsOut(failure.code)) return undefined;
  switch (failure.code) {
    case "EROFS":
      return `${place} is read-only`;
    case "ENOSPC":
    case "EDQUOT":
      return `${place} is full`;
    case "EIO":
      return `${place} gives I/O errors`;
    default:
      return `${place} cannot be written: ${failure.message}`;
  }
}

/** A failure with the same text lasts since it began; a new text is a new failure. */
function lasting(before: Since | undefined, reason: string | undefined, now: number): Since | undefined {
  if (reason === undefined) return undefined;
  return before?.reason === reason ? before : { reason, since: now };
}

function withDisk(condition: HostCondition, place: string, disk: DiskCondition): HostCondition {
  return { ...condition, disks: new Map(condition.disks).set(place, disk) };
}
