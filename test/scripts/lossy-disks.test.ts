/** The disks of `bun run proof:power` lose what was not flushed, and nothing else, below real file systems. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  failureMoments,
  fileSystems,
  LossyDisks,
  missingForLossyDisks,
} from "../../scripts/proof-power/lossy-disks.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

let folder: string;
let disks: LossyDisks;
afterEach(async () => {
  await disks.close();
  rmSync(folder, { recursive: true });
});

for (const fileSystem of fileSystems) {
  const missing = missingForLossyDisks(fileSystem);
  const reason = missing === undefined ? "" : ` (skipped: this machine lacks ${missing})`;

  test.skipIf(missing !== undefined)(
    `${fileSystem}: what was synced is there after power failures, what was not is gone${reason}`,
    async () => {
      folder = mkdtempSync(join(tmpdir(), "stead-lossy-"));
      const mount = join(folder, "disk");
      disks = await LossyDisks.open(folder, fileSystem, new Map([["disk", mount]]));
      const synced = new Map<string, string>();

      for (const moment of failureMoments.filter((one) => one !== "uncovered")) {
        const content = `${moment} `.repeat(5_000);
        await writeSynced(join(mount, moment), content);
        await writeSynced(mount);
        synced.set(moment, content);
        // Not closed: xfs may begin to write a file back when it is closed.
        const lost = join(mount, `${moment}-lost`);
        const fd = openSync(lost, "w");
        writeSync(fd, content);

        await disks.arm({ seed: 7, count: 1, moment, disks: ["disk"] });
        const last = writeSynced(join(mount, `${moment}-last`), content).then(
          () => "answered",
          (error: unknown) => (error as NodeJS.ErrnoException).code,
        );
        await disks.failed();
        await disks.end(["disk"]);
        expect(await last).toBe("EIO");
        closeSync(fd);
        await disks.restart(["disk"]);

        for (const [name, text] of synced) expect(readFileSync(join(mount, name), "utf8")).toBe(text);
        // The name may have been written with the other file; its content was in the page cache only.
        expect(existsSync(lost) ? readFileSync(lost, "utf8") : "").not.toBe(content);
      }
    },
  );
}

/** Creates a file and syncs it; without content it syncs the folder. */
async function writeSynced(path: string, content?: string): Promise<void> {
  const file = await open(path, content === undefined ? "r" : "w");
  try {
    if (content !== undefined) await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}
