/**
 * Which hosts each service has: the configuration file plus what operators changed at run time.
 *
 * Precedence: what an operator added, changed or removed at run time wins over the file, also after a restart. A host that
 * only the file named goes when the file no longer names it.
 */
import type { ServiceConfig } from "../config/types.ts";
import type { RegisteredHost } from "../core/failover-state.ts";
import { putHost, type HostRow } from "./state/rows.ts";
import type { Remembered, StateStore } from "./state/store.ts";

export interface RegistryEntry extends RegisteredHost {
  readonly service: string;
  readonly source: "config" | "operator";
}

export class Registry {
  readonly #store: StateStore;
  readonly #entries = new Map<string, Map<string, RegistryEntry>>();

  constructor(store: StateStore, remembered: Remembered, services: readonly ServiceConfig[]) {
    this.#store = store;
    for (const service of services) this.#entries.set(service.name, mergeHosts(service, remembered));
    this.#writeDifferences(remembered);
  }

  of(service: string): readonly RegistryEntry[] {
    return [...(this.#entries.get(service)?.values() ?? [])];
  }

  all(): readonly RegistryEntry[] {
    return [...this.#entries.keys()].flatMap((service) => this.of(service));
  }

  /** Adds a host or replaces what is known of it. */
  put(entry: Omit<RegistryEntry, "source">): void {
    const added: RegistryEntry = { ...entry, source: "operator" };
    const hosts = this.#entries.get(entry.service);
    if (hosts === undefined) throw new Error(`unknown service ${entry.service}`);
    hosts.set(entry.id, added);
    this.#store.write(putHost({ ...rowOf(added), deleted: false }));
  }

  /** False when there was no such host. */
  remove(service: string, id: string): boolean {
    const entry = this.#entries.get(service)?.get(id);
    if (entry === undefined) return false;
    this.#entries.get(service)?.delete(id);
    // A tombstone of an operator: the file does not bring the host back.
    this.#store.write(putHost({ ...rowOf(entry), source: "operator", deleted: true }));
    return true;
  }

  #writeDifferences(remembered: Remembered): void {
    const stored = new Map(remembered.hosts.map((row) => [`${row.service}\n${row.id}`, row]));
    for (const entry of this.all()) {
      const row = stored.get(`${entry.service}\n${entry.id}`);
      stored.delete(`${entry.service}\n${entry.id}`);
      const same = row !== undefined && !row.deleted && JSON.stringify(rowOf(entry)) === JSON.stringify(rowOf({ ...row, source: sourceOf(row.source) }));
      if (!same) this.#store.write(putHost({ ...rowOf(entry), deleted: false }));
    }
    for (const row of stored.values()) {
      if (row.source === "config" && !row.deleted) this.#store.write(putHost({ ...rowOf({ ...row, source: "config" }), deleted: true }));
    }
  }
}

function mergeHosts(service: ServiceConfig, remembered: Remembered): Map<string, RegistryEntry> {
  const merged = new Map<string, RegistryEntry>();
  for (const host of service.hosts) merged.set(host.id, { ...host, service: service.name, source: "config" });
  for (const row of remembered.hosts) {
    if (row.service !== service.name || row.source !== "operator") continue;
    if (row.deleted) merged.delete(row.id);
    else merged.set(row.id, { service: row.service, id: row.id, controlUrl: row.controlUrl, priority: row.priority, nofailover: row.nofailover, source: "operator" });
  }
  return merged;
}

const sourceOf = (text: string): "config" | "operator" => (text === "operator" ? "operator" : "config");

const rowOf = (entry: RegistryEntry): HostRow => ({
  service: entry.service,
  id: entry.id,
  controlUrl: entry.controlUrl,
  priority: entry.priority,
  nofailover: entry.nofailover,
  source: entry.source,
});
