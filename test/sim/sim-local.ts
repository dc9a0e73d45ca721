/**
 * The notes and files of a host on its machine's disk (`LocalPort`), kept by the same order of steps as `LocalData`:
 * files are moved, and the marker that vouches for what was moved is written last.
 */
import type { DatabaseChecksum } from "../../src/core/delta.ts";
import { wholeState } from "../../src/core/files/whole-state.ts";
import type { LocalPort, Marker } from "../../src/host/secondary/local-data.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { databaseName, type SimDatabase } from "./sim-database.ts";
import { SimFiles } from "./sim-files.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface LocalPorts {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly diskMs: number;
  /** What was moved away is deleted for good. */
  readonly onForgotten: (database: SimDatabase, files: SimFiles) => void;
  readonly onSetAside: () => void;
}

export class SimLocal implements LocalPort {
  readonly #ports: LocalPorts;

  constructor(ports: LocalPorts) {
    this.#ports = ports;
  }

  mark(marker: Marker): Promise<void> {
    return this.#step("mark", (disk) => {
      disk.marker = marker;
    });
  }

  moveAway(): Promise<Marker> {
    return this.#step("move away", (disk) => {
      if (disk.previous === undefined) {
        const marker: Marker = disk.database === undefined ? { kind: "secondary" } : disk.marker;
        disk.previous = { database: disk.database, files: disk.files, marker };
      }
      disk.database = undefined;
      disk.files = new SimFiles();
      return disk.previous.marker;
    });
  }

  previousChecksums(): Promise<ReadonlyMap<string, DatabaseChecksum> | undefined> {
    return this.#step("previous checksums", ({ previous }) => {
      if (previous === undefined) return new Map<string, DatabaseChecksum>();
      const { database, files } = previous;
      if (database?.isDamaged === true) return undefined;
      const databases = database === undefined ? [] : ([[databaseName, database.hashes.checksum()]] as const);
      return wholeState(new Map(databases), files.checksum);
    });
  }

  forgetPrevious(): Promise<void> {
    return this.#step("forget previous", (disk) => {
      const { previous } = disk;
      if (previous?.database !== undefined) this.#ports.onForgotten(previous.database, previous.files);
      disk.previous = undefined;
    });
  }

  setAsidePrevious(wallTimeMs: number): Promise<string> {
    return this.#step("set aside", (disk) => {
      const path = `set-aside/${Math.round(wallTimeMs)}`;
      disk.previous = undefined;
      disk.setAsides = [...disk.setAsides, path];
      this.#ports.onSetAside();
      return path;
    });
  }

  setAsides(): Promise<string[]> {
    return this.#step("set asides", ({ setAsides }) => setAsides);
  }

  #step<T>(label: string, make: (disk: SimMachine["disk"]) => T): Promise<T> {
    const { machine, process, dice, diskMs } = this.#ports;
    return process.answer(dice.around(diskMs), label, () => make(machine.disk));
  }
}
