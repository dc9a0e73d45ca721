/**
 * A copier that writes over a file in place, pauses in the middle with the file open, and resumes when it is told to.
 */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";

/** Writes the first half; a detached child writes the rest when the marker is there. */
const script = `
import os, sys, time
source, target, marker = sys.argv[1:]
content = open(source, "rb").read()
fd = os.open(target, os.O_WRONLY)
half = len(content) // 2 // 4096 * 4096
os.pwrite(fd, content[:half], 0)
if os.fork() > 0: os._exit(0)
while not os.path.exists(marker): time.sleep(0.002)
os.pwrite(fd, content[half:], half)
os.close(fd)
open(marker + ".done", "w").close()
`;

export class PausingCopier {
  readonly #source: string;
  readonly #target: string;
  #isHalfWritten = false;

  constructor(source: string, target: string) {
    this.#source = source;
    this.#target = target;
  }

  get isHalfWritten(): boolean {
    return this.#isHalfWritten;
  }

  /** Once; sync. */
  writeHalf(): void {
    if (this.#isHalfWritten) return;
    this.#isHalfWritten = true;
    const { status } = spawnSync("python3", ["-c", script, this.#source, this.#target, this.#marker], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (status !== 0) throw new Error("the copier could not begin");
  }

  writeRest(): void {
    writeFileSync(this.#marker, "");
    while (this.#isHalfWritten && !existsSync(`${this.#marker}.done`)) Bun.sleepSync(2);
  }

  get #marker(): string {
    return `${this.#source}.go`;
  }
}
