/**
 * The hosts of each service: the configuration file plus operators' changes at run time.
 *
 * Precedence: a host that an operator added, changed or removed at run time wins over the file, also after a restart
 * and a reload. A change through another gateway counts the same. A host that only another gateway's file names is a
 * host here too. A host that only this file named is removed when the file no longer names it.
 */
import type { ServiceConfig } from "../../config/types.ts";
import type { RegisteredHost } from "../../core/failover/state.ts";
import { putHost, type HostRow, type StoredHost } from "../state/rows.ts";
import { gatewayOf, type Remembered, type StateStore } from "../state/store.ts";

export interface RegistryEntry extends RegisteredHost {
  readonly service: string;
  readonly source: "config" | "operator";
}

/** An operator's change of a host: the entry, or with `removed` its removal. */
interface Override {
  readonly entry: RegistryEntry;
  readonly removed: boolean;
}

export class Registry {
  readonly #store: StateStore;
  /** By service and host id. */
  readonly #overrides = new Map<string, Map<string, Override>>();
  /** Hosts that only other gateways' files name. */
  readonly #peerEntries = new Map<string, RegistryEntry>();
  #services: readonly ServiceConfig[];

  constructor(store: StateStore, remembered: Remembered, services: readonly ServiceConfig[]) {
    this.#store = store;
    this.#services = services;
    for (const row of remembered.hosts) {
      if (row.source === "operator") this.#override({ ...entryOf(row), source: "operator" }, row.deleted);
      else if (!row.deleted && !this.#isOurs(row)) this.#peerEntries.set(keyOf(row), entryOf(row));
    }
    this.#writeDifferences(new Map(remembered.hosts.map((row) => [keyOf(row), { ...row, deleted: row.deleted }])));
  }

  of(service: string): readonly RegistryEntry[] {
    const file = this.#services.find(({ name }) => name === service);
    if (file === undefined) return [];
    const merged = new Map<string, RegistryEntry>();
    for (const entry of this.#peerEntries.values()) if (entry.service === service) merged.set(entry.id, entry);
    for (const host of file.hosts) merged.set(host.id, { ...host, service, source: "config" });
    for (const { entry, removed } of this.#overrides.get(service)?.values() ?? []) {
      if (removed) merged.delete(entry.id);
      else merged.set(entry.id, entry);
    }
    return [...merged.values()];
  }

  all(): readonly RegistryEntry[] {
    return this.#services.flatMap(({ name }) => this.of(name));
  }

  find(service: string, id: string): RegistryEntry | undefined {
    return this.of(service).find((entry) => entry.id === id);
  }

  /** Hosts in the file that an operator, or a manual rejoin, removed. */
  removed(service: string): readonly string[] {
    const file = this.#services.find(({ name }) => name === service);
    return (file?.hosts ?? [])
      .map(({ id }) => id)
      .filter((id) => this.#overrides.get(service)?.get(id)?.removed === true);
  }

  /** Adds a host or replaces its entry. */
  put(entry: Omit<RegistryEntry, "source">): void {
    const added: RegistryEntry = { ...entry, source: "operator" };
    this.#override(added, false);
    this.#store.write(putHost({ ...rowOf(added), deleted: false }));
  }

  /** Returns false if there was no such host. */
  remove(service: string, id: string): boolean {
    const entry = this.find(service, id);
    if (entry === undefined) return false;
    // An operator's tombstone: the file does not bring the host back.
    this.#override({ ...entry, source: "operator" }, true);
    this.#store.write(putHost({ ...rowOf(entry), source: "operator", deleted: true }));
    return true;
  }

  /** A row that another gateway wrote. */
  applyRemote(row: StoredHost): void {
    const inFile = this.#services.find(({ name }) => name === row.service)?.hosts.find(({ id }) => id === row.id);
    if (row.source === "operator") this.#override(entryOf(row), row.deleted === true);
    else if (row.deleted === true) {
      this.#peerEntries.delete(keyOf(row));
      // Another file no longer names it, but this one does.
      if (inFile !== undefined)
        this.#store.write(putHost({ ...inFile, service: row.service, source: "config", deleted: false }));
    } else this.#peerEntries.set(keyOf(row), entryOf(row));
  }

  /** The file was read again. */
  reconfigure(services: readonly ServiceConfig[]): void {
    const before = new Map(this.all().map((entry) => [keyOf(entry), { ...rowOf(entry), deleted: false }]));
    this.#services = services;
    this.#writeDifferences(before);
  }

  #isOurs(row: { readonly origin: string }): boolean {
    return gatewayOf(row.origin) === gatewayOf(this.#store.replica.origin);
  }

  #override(entry: RegistryEntry, removed: boolean): void {
    const hosts = this.#overrides.get(entry.service) ?? new Map<string, Override>();
    this.#overrides.set(entry.service, hosts.set(entry.id, { entry, removed }));
  }

  #writeDifferences(stored: Map<string, HostRow & { readonly deleted: boolean }>): void {
    for (const entry of this.all()) {
      const row = stored.get(keyOf(entry));
      stored.delete(keyOf(entry));
      const same =
        row !== undefined && !row.deleted && JSON.stringify(rowOf(entry)) === JSON.stringify(rowOf(entryOf(row)));
      if (!same) this.#store.write(putHost({ ...rowOf(entry), deleted: false }));
    }
    for (const row of stored.values()) {
      if (row.source === "config" && !row.deleted)
        this.#store.write(putHost({ ...rowOf(entryOf(row)), deleted: true }));
    }
  }
}

const keyOf = ({ service, id }: { readonly service: string; readonly id: string }): string => `${service}\n${id}`;

const entryOf = (row: HostRow): RegistryEntry => ({
  service: row.service,
  id: row.id,
  controlUrl: row.controlUrl,
  priority: row.priority ?? undefined,
  nofailover: row.nofailover ?? undefined,
  source: row.source === "operator" ? "operator" : "config",
});

const rowOf = (entry: RegistryEntry): HostRow => ({
  service: entry.service,
  id: entry.id,
  controlUrl: entry.controlUrl,
  priority: entry.priority,
  nofailover: entry.nofailover,
  source: entry.source,
});
