/** What the gateway writes to its database: one function per kind of row, each giving an upsert. */
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type { BatchItem } from "drizzle-orm/batch";
import { epochs, events, failovers, gateways, health, hosts, services } from "./schema.ts";

/** Where and when a row was written; filled in when it is flushed. */
export interface Provenance {
  readonly origin: string;
  readonly seq: number;
  readonly hlc: string;
}

type Row<T extends { $inferInsert: unknown }> = Omit<T["$inferInsert"], keyof Provenance>;
export type ServiceRow = Row<typeof services>;
export type HostRow = Row<typeof hosts>;
export type GatewayRow = Row<typeof gateways>;
export type HealthRow = Row<typeof health>;
export type EpochRow = Row<typeof epochs>;
export type FailoverRow = Row<typeof failovers>;
export type EventRow = Row<typeof events>;

export type Database = LibSQLDatabase;
export type Statement = BatchItem<"sqlite">;

/** A write that waits: `key` says which row, so that a later write of it replaces an earlier one in the queue. */
export interface PendingWrite {
  readonly key: string;
  build(database: Database, provenance: Provenance): Statement;
}

export const putService = (row: ServiceRow): PendingWrite => ({
  key: `service ${row.name}`,
  build: (db, p) => db.insert(services).values({ ...row, ...p }).onConflictDoUpdate({ target: services.name, set: { ...row, ...p } }),
});

export const putHost = (row: HostRow): PendingWrite => ({
  key: `host ${row.service} ${row.id}`,
  build: (db, p) => db.insert(hosts).values({ ...row, ...p }).onConflictDoUpdate({ target: [hosts.service, hosts.id], set: { ...row, ...p } }),
});

export const putGateway = (row: GatewayRow): PendingWrite => ({
  key: `gateway ${row.id}`,
  build: (db, p) => db.insert(gateways).values({ ...row, ...p }).onConflictDoUpdate({ target: gateways.id, set: { ...row, ...p } }),
});

export const putHealth = (row: HealthRow): PendingWrite => ({
  key: `health ${row.gateway} ${row.service} ${row.host}`,
  build: (db, p) =>
    db.insert(health).values({ ...row, ...p }).onConflictDoUpdate({ target: [health.gateway, health.service, health.host], set: { ...row, ...p } }),
});

/** An epoch's owner never changes; where it serves may, and when it was first seen stays. */
export const putEpoch = (row: EpochRow): PendingWrite => ({
  key: `epoch ${row.service} ${row.epoch}`,
  build: (db, p) =>
    db.insert(epochs).values({ ...row, ...p }).onConflictDoUpdate({ target: [epochs.service, epochs.epoch], set: { dataUrl: row.dataUrl ?? null, ...p } }),
});

export const putFailover = (row: FailoverRow): PendingWrite => ({
  key: `failover ${row.id}`,
  build: (db, p) => db.insert(failovers).values({ ...row, ...p }).onConflictDoUpdate({ target: failovers.id, set: { ...row, ...p } }),
});

export const addEvent = (row: EventRow): PendingWrite => ({
  key: `event ${row.id}`,
  build: (db, p) => db.insert(events).values({ ...row, ...p }).onConflictDoNothing(),
});
