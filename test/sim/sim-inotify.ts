/**
 * Inotify over a simulated file system: a watch is on a folder, whatever its name is by now; its queue is bounded, and
 * loses what does not fit. One process has it, and it ends with that.
 */
import type { KernelEvents } from "../../src/capture/files/file-events.ts";
import { inotifyEvents, type InotifyEvent } from "../../src/runtime/inotify.ts";
import type { FolderNode, SimFileSystem, TellChange } from "./sim-file-system.ts";
import type { SimProcess } from "./sim-process.ts";

export class SimInotify implements KernelEvents {
  readonly #fs: SimFileSystem;
  readonly #queueMax: number;
  readonly #numbers = new Map<FolderNode, number>();
  #queue: InotifyEvent[] = [];
  #isIncomplete = false;
  #count = 0;

  constructor(fs: SimFileSystem, process: SimProcess, queueMax: number) {
    this.#fs = fs;
    this.#queueMax = queueMax;
    fs.listeners.add(this.#onChange);
    process.whenDead(() => this.close());
  }

  watch(path: string | Uint8Array): number | undefined {
    const folder = this.#fs.find(String(path));
    if (folder?.kind !== "folder") return undefined;
    const known = this.#numbers.get(folder);
    if (known !== undefined) return known;
    this.#count += 1;
    this.#numbers.set(folder, this.#count);
    return this.#count;
  }

  unwatch(number: number): void {
    for (const [folder, each] of this.#numbers)
      if (each === number) {
        this.#push({ folder: number, mask: inotifyEvents.ignored, entry: "" });
        this.#numbers.delete(folder);
      }
  }

  read(visit: (event: InotifyEvent) => void): boolean {
    if (this.#queue.length === 0) return false;
    const [queue, isIncomplete] = [this.#queue, this.#isIncomplete];
    this.#queue = [];
    this.#isIncomplete = false;
    for (const event of queue) visit(event);
    return isIncomplete;
  }

  close(): void {
    this.#fs.listeners.delete(this.#onChange);
    this.#queue = [];
  }

  readonly #onChange: TellChange = (folder, mask, entry) => {
    const number = this.#numbers.get(folder);
    if (number === undefined) return;
    this.#push({ folder: number, mask, entry });
    if (mask === inotifyEvents.ignored) this.#numbers.delete(folder);
  };

  #push(event: InotifyEvent): void {
    if (this.#queue.length < this.#queueMax) this.#queue.push(event);
    else this.#isIncomplete = true;
  }
}
