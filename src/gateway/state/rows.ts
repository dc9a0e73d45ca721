/** The gateway's writes to its shared tables: one function per kind of row. */
import type { InferInsertModel, InferSelectModel } from "drizzle-orm";
import type { TableName } from "./replication-tables.ts";
import type {
  audit,
  challenges,
  deliveries,
  drills,
  epochs,
  events,
  failovers,
  gateways,
  health,
  hosts,
  impacts,
  maintenance,
  notifications,
  restoreTests,
  services,
  tokens,
} from "./schema.ts";

type Provenance = "origin" | "seq" | "hlc";
type Row<T extends { $inferInsert: unknown }> = Omit<T["$inferInsert"], Provenance>;
export type ServiceRow = Row<typeof services>;
export type HostRow = Row<typeof hosts>;
export type GatewayRow = Row<typeof gateways>;
export type HealthRow = Row<typeof health>;
export type EpochRow = Row<typeof epochs>;
export type FailoverRow = Row<typeof failovers>;
export type ImpactRow = Row<typeof impacts>;
export type EventRow = Row<typeof events>;
export type TokenRow = Row<typeof tokens>;
export type AuditRow = Row<typeof audit>;
export type DrillRow = Row<typeof drills>;
export type RestoreTestRow = Row<typeof restoreTests>;
export type MaintenanceRow = Row<typeof maintenance>;
export type ChallengeRow = Row<typeof challenges>;
export type NotificationRow = Row<typeof notifications>;
export type DeliveryRow = Row<typeof deliveries>;

/** A row to be written; the store adds origin and time. */
export interface RowWrite {
  readonly table: TableName;
  readonly row: Readonly<Record<string, unknown>> & { readonly deleted?: boolean | undefined };
  /** True: an assumption, which any row of a peer overrides. */
  readonly assumed?: boolean;
}

export const putService = (row: ServiceRow, assumed = false): RowWrite => ({ table: "services", row, assumed });
export const putHost = (row: HostRow): RowWrite => ({ table: "hosts", row });
export const putGateway = (row: GatewayRow): RowWrite => ({ table: "gateways", row });
export const putHealth = (row: HealthRow): RowWrite => ({ table: "health", row });
/** An epoch's owner never changes; its address may, and the time it was first seen stays (store.ts). */
export const putEpoch = (row: EpochRow): RowWrite => ({ table: "epochs", row });
export const putFailover = (row: FailoverRow): RowWrite => ({ table: "failovers", row });
export const putImpact = (row: ImpactRow): RowWrite => ({ table: "impacts", row });
export const addEvent = (row: EventRow): RowWrite => ({ table: "events", row });
export const putToken = (row: TokenRow): RowWrite => ({ table: "tokens", row });
export const putAudit = (row: AuditRow): RowWrite => ({ table: "audit", row });
export const putNotification = (row: NotificationRow): RowWrite => ({ table: "notifications", row });
export const putDelivery = (row: DeliveryRow): RowWrite => ({ table: "deliveries", row });

export const putChallenge = (row: ChallengeRow): RowWrite => ({ table: "challenges", row });
export const putMaintenance = (row: MaintenanceRow): RowWrite => ({ table: "maintenance", row });
export const putRestoreTest = (row: RestoreTestRow): RowWrite => ({ table: "restoreTests", row });
export const putDrill = (row: DrillRow): RowWrite => ({ table: "drills", row });

export type StoredService = InferSelectModel<typeof services>;
export type StoredMaintenance = InferSelectModel<typeof maintenance>;
export type StoredHost = InferInsertModel<typeof hosts>;
