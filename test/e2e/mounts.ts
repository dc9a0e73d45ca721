/** File systems that tests mount, where they may: it needs a root user on Linux. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const canMount = process.platform === "linux" && process.getuid?.() === 0 && mountWorks();

function mountWorks(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "stead-mount-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", folder]).status === 0;
  if (mounted) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true });
  return mounted;
}

/**
 * `bind`: the folder's own content, read-only. `small`: an empty file system of 4 MiB. `noexec`: an empty one that
 * executes nothing.
 */
export async function withMount(
  folder: string,
  kind: "bind" | "small" | "noexec",
  body: () => Promise<void>,
): Promise<void> {
  const run = (...args: string[]): void => {
    const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`mount ${args.join(" ")}: ${stderr}`);
  };
  if (kind === "small") run("-t", "tmpfs", "-o", "size=4m", "none", folder);
  else if (kind === "noexec") run("-t", "tmpfs", "-o", "size=64m,noexec", "none", folder);
  else {
    run("--bind", folder, folder);
    run("-o", "remount,bind,ro", folder);
  }
  try {
    await body();
  } finally {
    spawnSync("umount", ["-l", folder]);
  }
}
