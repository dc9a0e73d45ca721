/** A machine: its disk outlives the processes on it, its power does not always. */
import type { Marker } from "../../src/host/secondary/local-data.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { Node } from "./network.ts";
import type { SimDatabase } from "./sim-database.ts";
import { SimFiles } from "./sim-files.ts";
import type { ClockKind, SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

export interface Disk {
  /** In the data folder. */
  database: SimDatabase | undefined;
  /** Beside the database, and everything else that lies in folders. */
  readonly files: SimFiles;
  marker: Marker;
  /** What was moved away, and the marker that vouches for it. */
  previous: Moved | undefined;
  /** Moved away already, while the files beside it are not. */
  moving: SimDatabase | undefined;
  setAsides: string[];
}

interface Moved {
  readonly database: SimDatabase | undefined;
  readonly marker: Marker;
  /** The files beside it were moved too. */
  readonly hasFiles: boolean;
  /** Checksum of the files then; undefined: they were not read. */
  readonly files: Uint8Array | undefined;
}

/**
 * What is wrong with the application as it is installed here: it ends while it starts, is never ready, or ends soon
 * after.
 */
export type ApplicationTrouble = "none" | "ends" | "never-ready" | "crashes";

/**
 * What the operator's hooks on this machine do other than to end well at once: `before_start`, or the two for which
 * nothing waits, fail or run until their limit.
 */
export type HookTrouble = "none" | "start-fails" | "start-hangs" | "others-fail" | "others-hang";

export class SimMachine implements Node {
  readonly name: string;
  readonly clock: ClockKind;
  readonly disk: Disk;
  process: SimProcess | undefined;
  /** Of its application, outside of the application's group. */
  readonly escaped = new Set<SimProcess>();
  application: ApplicationTrouble = "none";
  hooks: HookTrouble = "none";
  hasPower = true;
  /** The host's program that is installed here reads and writes records of format 1 only (earlier-version.ts). */
  isEarlier = false;

  constructor(world: World, name: string, clock: ClockKind) {
    this.name = name;
    this.clock = clock;
    this.disk = {
      ...{ database: undefined, marker: { kind: "unknown" }, previous: undefined, moving: undefined, setAsides: [] },
      files: new SimFiles(() => clock.wallStartMs + world.now),
    };
  }

  /** What was not synced is gone; files that an application was writing may be damaged. */
  losePower(dice: SeededRandom): void {
    this.hasPower = false;
    this.process?.kill("power");
    for (const process of [...this.escaped]) process.kill("power");
    this.disk.database?.losePower(dice.chance(0.2));
    this.disk.files.losePower();
  }
}
