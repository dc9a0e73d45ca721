/** What the duties of a host (duties.ts) tell the host that they belong to. */
import type { PromoteEvent, PromoteRequest } from "../control/messages.ts";
import type { HostEvent } from "../core/host/life.ts";
import type { RecordFormat } from "../core/record-format.ts";
import type { Promotion } from "./control/promotion.ts";

export interface Life {
  dispatch(event: HostEvent): void;
  tellChange(): void;
  /** Why a restore has not succeeded yet. */
  explain(reason: string, isTrouble: boolean): void;
  /** Another process runs under this host's id; `how` it showed itself. */
  onDuplicateId(how: string): void;
  /** Reads anew which databases operators excluded. Throws what the vault says. */
  readExclusions(): Promise<void>;
  promotion(): Promotion | undefined;
  /** Of the next record that this host writes. */
  recordFormat(): RecordFormat;
  promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void>;
}
