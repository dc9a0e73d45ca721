/**
 * The database file of a gateway: what its store was told is written, after a moment, one transaction after the other.
 *
 * As with SQLite in WAL mode and `synchronous=NORMAL` a crash of the process loses nothing that was written, and a
 * power failure may lose the last transactions, whole ones.
 */
import type { ReplicatedRow } from "../../src/core/replication/row.ts";
import type { VersionVector } from "../../src/core/replication/version-vector.ts";
import type { DiskChange, Loaded, OpenDisk, StateDisk } from "../../src/gateway/state/replication-disk.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { SimProcess } from "./sim-process.ts";

interface Transaction {
  readonly changes: readonly DiskChange[];
  readonly vector: VersionVector | null;
}

/** What a power failure may take at most. */
const unsyncedMax = 10;

export class GatewayDisk {
  readonly #rows = new Map<string, ReplicatedRow>();
  readonly #met = new Set<string>();
  #vector: VersionVector = new Map();
  #unsynced: Transaction[] = [];

  write(transaction: Transaction): void {
    this.#unsynced.push(transaction);
    if (this.#unsynced.length > unsyncedMax) this.#sync(1);
  }

  /** All that was written. */
  load(): Loaded {
    this.#sync(this.#unsynced.length);
    return { rows: [...this.#rows.values()], vector: new Map(this.#vector), met: [...this.#met] };
  }

  losePower(dice: SeededRandom): void {
    this.#unsynced = this.#unsynced.slice(0, dice.int(0, this.#unsynced.length));
  }

  copy(): GatewayDisk {
    const copy = new GatewayDisk();
    const { rows, vector, met } = this.load();
    for (const row of rows) copy.#rows.set(nameOf(row), row);
    copy.#vector = vector;
    for (const gateway of met) copy.#met.add(gateway);
    return copy;
  }

  #sync(count: number): void {
    for (const { changes, vector } of this.#unsynced.splice(0, count)) {
      for (const change of changes) {
        if (change.kind === "put") this.#rows.set(nameOf(change.row), change.row);
        else if (change.kind === "remove") this.#rows.delete(nameOf(change));
        else if (change.kind === "meet") this.#met.add(change.gateway);
        else this.#met.delete(change.gateway);
      }
      this.#vector = vector ?? this.#vector;
    }
  }
}

const nameOf = ({ table, key }: { readonly table: string; readonly key: string }): string => `${table}\n${key}`;

export interface SimStateDiskPorts {
  readonly process: SimProcess;
  readonly disk: GatewayDisk;
  readonly dice: SeededRandom;
  readonly diskMs: number;
}

export function simStateDisk({ process, disk, dice, diskMs }: SimStateDiskPorts): StateDisk {
  const open: OpenDisk = {
    write: (changes, vector) => {
      const transaction = { changes: [...changes], vector: vector === null ? null : new Map(vector) };
      return process.answer(dice.around(diskMs), "state written", () => disk.write(transaction));
    },
    close: () => undefined,
  };
  return {
    path: "/state/gateway.db",
    open: () => process.answer(dice.around(diskMs), "state opened", () => ({ disk: open, loaded: disk.load() })),
    isDamage: () => false,
    isGone: () => false,
    setAside: () => Promise.reject(new Error("nothing is damaged here")),
  };
}
