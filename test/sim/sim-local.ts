/**
 * The notes and files of a host on its machine's disk (`LocalPort`), kept by the same order of steps as `LocalData`:
 * databases are moved, then the files beside them, by the real `LocalFiles` on the simulated file system, and the
 * marker that vouches for what was moved is written last.
 */
import type { DatabaseChecksum } from "../../src/core/delta.ts";
import type { FileMatcher } from "../../src/core/files/file-pattern.ts";
import type { FileTree } from "../../src/core/files/file-tree.ts";
import { wholeState } from "../../src/core/files/whole-state.ts";
import type { Rules } from "../../src/core/rules.ts";
import type { HashedFiles } from "../../src/host/secondary/files/hashed-files.ts";
import { LocalFiles } from "../../src/host/secondary/files/local-files.ts";
import type { KnownPieces } from "../../src/host/secondary/files/local-pieces.ts";
import type { LocalPort, Marker } from "../../src/host/secondary/local-data.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import { databaseName, type SimDatabase } from "./sim-database.ts";
import { dataFolder, previousFolder, setAsideFolder } from "./sim-files.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface LocalPorts {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly rules: Rules;
  readonly diskMs: number;
  /** Of the files beside the database; undefined: the service has none. */
  readonly files: FilesHere | undefined;
  /** What was moved away is deleted for good: a database, files with this checksum, and what is left of them. */
  readonly onForgotten: (database: SimDatabase | undefined, files: Uint8Array, left: FileTree | undefined) => void;
  readonly onSetAside: (what: "state" | "files") => void;
}

interface FilesHere {
  readonly matcher: FileMatcher;
  /** Share of the files that are moved in a step of their own. */
  readonly slowMoveShare: number;
  /** Apart from the others. */
  readonly dice: SeededRandom;
}

const noFiles = new Uint8Array(16);

export class SimLocal implements LocalPort {
  readonly #ports: LocalPorts;
  readonly #beside: LocalFiles | undefined;
  #hashed: HashedFiles | undefined;

  constructor(ports: LocalPorts) {
    this.#ports = ports;
    const { files, rules, machine } = ports;
    this.#beside =
      files === undefined
        ? undefined
        : new LocalFiles(
            files.matcher,
            { kind: "host" },
            { fs: machine.disk.files.fs.calls, move: (from, to) => this.#move(files, String(from), String(to)), rules },
          );
  }

  readonly previousPieces: KnownPieces = (path, stats) => this.#hashed?.piecesOf(path, stats);

  mark(marker: Marker): Promise<void> {
    return this.#step("mark", (disk) => {
      disk.marker = marker;
    });
  }

  async moveAway(hasJournalFiles: () => Promise<boolean> = () => Promise.resolve(false)): Promise<Marker> {
    const beside = this.#beside !== undefined && (await hasJournalFiles()) ? this.#beside : undefined;
    if (beside === undefined)
      return this.#step("move away", (disk) => {
        if (disk.previous === undefined) {
          const marker: Marker = disk.database === undefined ? { kind: "secondary" } : disk.marker;
          disk.previous = { database: disk.database, marker, hasFiles: false, files: undefined };
        }
        disk.database = undefined;
        return disk.previous.marker;
      });
    const before = await this.#step("move databases", (disk) => {
      if (disk.previous === undefined) disk.moving = disk.database ?? disk.moving;
      disk.database = undefined;
      return disk.previous;
    });
    const { files, marker } = this.#ports.machine.disk;
    if (before?.hasFiles === true) {
      await beside.clear(dataFolder);
      files.sync();
      return before.marker;
    }
    await beside.moveAway(dataFolder, previousFolder);
    const known = before?.marker ?? marker;
    return this.#step("mark what was moved", (disk) => {
      disk.moving = before?.database ?? disk.moving;
      return this.#markMoved(beside, known);
    });
  }

  /** Nothing comes between the hashes and the marker here. */
  #markMoved(beside: LocalFiles, known: Marker): Promise<Marker> {
    const { disk } = this.#ports.machine;
    const isThere = !beside.isEmpty(previousFolder);
    const isEmpty = !isThere && disk.moving === undefined;
    const marker: Marker = isEmpty ? { kind: "secondary" } : known;
    const hashing = isThere && marker.kind !== "secondary" ? beside.hash(previousFolder) : Promise.resolve(undefined);
    return hashing.then((hashed) => {
      this.#hashed = hashed;
      disk.previous = { database: disk.moving, marker, hasFiles: true, files: hashed?.checksum };
      disk.moving = undefined;
      disk.files.sync();
      return marker;
    });
  }

  async #move({ slowMoveShare, dice }: FilesHere, from: string, to: string): Promise<void> {
    const { machine, process, diskMs } = this.#ports;
    const { fs } = machine.disk.files;
    if (dice.chance(slowMoveShare)) await process.answer(diskMs, "move a file", () => undefined);
    if (fs.find(from) !== undefined) fs.rename(from, to);
  }

  previousChecksums(): Promise<ReadonlyMap<string, DatabaseChecksum> | undefined> {
    return this.#step("previous checksums", ({ previous }) => {
      if (previous === undefined) return new Map<string, DatabaseChecksum>();
      const { database, files } = previous;
      if (database?.isDamaged === true) return undefined;
      const databases = database === undefined ? [] : ([[databaseName, database.hashes.checksum()]] as const);
      return wholeState(new Map(databases), files);
    });
  }

  forgetPrevious(): Promise<void> {
    return this.#step("forget previous", (disk) => {
      const { previous, files } = disk;
      const matcher = this.#ports.files?.matcher;
      const left = matcher === undefined ? undefined : files.tree(matcher, previousFolder);
      this.#ports.onForgotten(previous?.database, previous?.files ?? noFiles, left);
      files.fs.remove(previousFolder);
      this.#hashed = undefined;
      disk.previous = undefined;
    });
  }

  setAsidePrevious(wallTimeMs: number): Promise<string> {
    return this.#setAside(wallTimeMs, "state");
  }

  async setAsideUnknownFiles(isKnown: (path: string) => boolean, wallTimeMs: number): Promise<string | undefined> {
    if (this.#beside === undefined) return undefined;
    if (!(await this.#beside.removeKnown(previousFolder, isKnown))) return undefined;
    return this.#setAside(wallTimeMs, "files");
  }

  #setAside(wallTimeMs: number, what: "state" | "files"): Promise<string> {
    return this.#step("set aside", (disk) => {
      const { fs } = disk.files;
      const path = `set-aside/${Math.round(wallTimeMs)}`;
      fs.makeFolders(setAsideFolder);
      if (fs.find(previousFolder) !== undefined) fs.rename(previousFolder, `/${path}`);
      this.#hashed = undefined;
      disk.previous = undefined;
      disk.setAsides = [...disk.setAsides, path];
      this.#ports.onSetAside(what);
      return path;
    });
  }

  setAsides(): Promise<string[]> {
    return this.#step("set asides", ({ setAsides }) => setAsides);
  }

  #step<T>(label: string, make: (disk: SimMachine["disk"]) => T | Promise<T>): Promise<T> {
    const { machine, process, dice, diskMs } = this.#ports;
    return process.answer<T | Promise<T>>(dice.around(diskMs), label, () => make(machine.disk)) as Promise<T>;
  }
}
