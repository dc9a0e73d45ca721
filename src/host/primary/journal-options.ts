/** What a primary's journal works with. */
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { LogWriter } from "../../vault/log/log-writer.ts";
import type { RecordBody } from "../../vault/record.ts";
import type { Handover } from "../application/handover.ts";
import type { JournalEnd } from "./journal-end.ts";

export type JournalDurability = { readonly kind: "strict" } | { readonly kind: "async"; readonly lossMaxMs: number };

export interface JournalOptions {
  readonly writer: LogWriter;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly leaseMs: number;
  readonly durability: JournalDurability;
  readonly onEnd: (end: JournalEnd) => void;
  /** After each record. */
  readonly onRecord: (record: {
    readonly kind: RecordBody["kind"];
    readonly bytes: number;
    readonly tookMs: number;
  }) => void;
  /** `wallAheadOf` the clock from before the claim; default: now. */
  readonly wallAheadMs?: number | undefined;
  /** Names of requests that the application got and outcomes, for each flush; default: flushes have none. */
  readonly handover?: Handover | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
}
