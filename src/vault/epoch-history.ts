/** Claims of the past: `epoch` records are never deleted (R4), so any of them can be read by its position. */
import { CorruptRecordError } from "./errors.ts";
import { logKey } from "./keys.ts";
import { decodeRecord, serviceTagOf } from "./record-codec.ts";
import type { LogRecord, Position, RecordBody } from "./record.ts";
import type { Store } from "./store.ts";

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
