/** Claims of the past: `epoch` records are never deleted (R4), so any of them can be read by its position. */
import { CorruptRecordError, isVaultError } from "../errors.ts";
import { logKey, logPrefix, positionOfKey } from "../keys.ts";
import { decodeRecord, serviceTagOf } from "./record-codec.ts";
import type { LogRecord, Position, RecordBody } from "../record.ts";
import type { Store } from "../store/store.ts";

export type EpochRecord = LogRecord & { readonly body: RecordBody & { readonly kind: "epoch" } };

/** The claim at a position that a checkpoint names. Throws CorruptRecordError, UnknownFormatError, StoreError. */
export async function readEpochRecord(store: Store, service: string, position: Position): Promise<EpochRecord> {
  const key = logKey(position);
  const bytes = await store.get(key);
  if (bytes === undefined) throw new CorruptRecordError(position, key, "nothing", "an epoch record, which is never deleted");
  const record = decodeRecord(serviceTagOf(service), position, bytes);
  if (!isEpoch(record)) throw new CorruptRecordError(position, key, `a ${record.body.kind} record`, "an epoch record");
  return record;
}

const isEpoch = (record: LogRecord): record is EpochRecord => record.body.kind === "epoch";

/**
 * The last claim in the log, whatever stands behind it; undefined: there is none. Looks backwards from the end, past what it cannot
 * read. Throws StoreError and the signal's reason.
 */
export async function readNewestClaim(store: Store, service: string, signal: AbortSignal): Promise<EpochRecord | undefined> {
  const positions = (await store.list(logPrefix)).map((key) => positionOfKey(logPrefix, key)).filter((position) => position !== undefined);
  for (const position of positions.toReversed()) {
    signal.throwIfAborted();
    const bytes = await store.get(logKey(position));
    if (bytes === undefined) continue;
    try {
      const record = decodeRecord(serviceTagOf(service), position, bytes);
      if (isEpoch(record)) return record;
    } catch (error) {
      if (!isVaultError(error)) throw error;
    }
  }
  return undefined;
}
