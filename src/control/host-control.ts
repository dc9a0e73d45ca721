/** The port to a host, as the gateway uses it: a real host by its control API, or a plain host. */
import type { DatabaseAct, DatabaseChange, DatabaseList } from "./databases.ts";
import type { HostDrillDone, HostDrillRequest } from "./drill-api.ts";
import type {
  CheckpointDone,
  DemoteEvent,
  DemoteRequest,
  PromoteEvent,
  PromoteRequest,
  RehearsalDone,
} from "./host-api.ts";
import type { HostLog, HostLogRequest } from "./log-api.ts";
import type { HostAnswer, StreamEnd } from "./host-client.ts";
import type { RewindHostRequest, RewindPlan, RewindPrepared } from "./rewind-api.ts";
import type { RestorePoints } from "./restore-points.ts";
import type { HostStatus } from "./host-status.ts";

/** The calls of a host's control API that the gateway uses; `HostClient` is the real one. */
export interface HostControl {
  /** `recordFormat`: tells the host the newest record format that all hosts read. */
  status(timeoutMs: number, signal?: AbortSignal, recordFormat?: number): Promise<HostAnswer<HostStatus>>;
  streamStatus(onStatus: (status: HostStatus) => void, signal: AbortSignal): Promise<StreamEnd>;
  promote(request: PromoteRequest, onEvent: (event: PromoteEvent) => void, signal: AbortSignal): Promise<StreamEnd>;
  demote(request: DemoteRequest, onEvent: (event: DemoteEvent) => void, signal: AbortSignal): Promise<StreamEnd>;
  checkpoint(signal?: AbortSignal): Promise<HostAnswer<CheckpointDone>>;
  rehearse(signal?: AbortSignal): Promise<HostAnswer<RehearsalDone>>;
  /** Takes itself away for a drill; undefined: a plain host. */
  drill?(request: HostDrillRequest, signal?: AbortSignal): Promise<HostAnswer<HostDrillDone>>;
  /** Tells the host that this gateway has removed it from its registry; undefined: not possible. */
  removed?(signal: AbortSignal): Promise<HostAnswer<HostStatus>>;
  clearSuspects(signal?: AbortSignal): Promise<HostAnswer<HostStatus>>;
  /** Undefined for a plain host, which has no vault. */
  restorePoints?(signal?: AbortSignal): Promise<HostAnswer<RestorePoints>>;
  /** What a rewind would undo. Undefined for a plain host. */
  planRewind?(request: RewindHostRequest, signal?: AbortSignal): Promise<HostAnswer<RewindPlan>>;
  prepareRewind?(request: RewindHostRequest, signal?: AbortSignal): Promise<HostAnswer<RewindPrepared>>;
  /** Undefined for a plain host. */
  log?(request: HostLogRequest, signal?: AbortSignal): Promise<HostAnswer<HostLog>>;
  /** Undefined for a plain host, which captures no databases. */
  databases?(signal?: AbortSignal): Promise<HostAnswer<DatabaseList>>;
  changeDatabase?(act: DatabaseAct, change: DatabaseChange, signal?: AbortSignal): Promise<HostAnswer<DatabaseList>>;
}
