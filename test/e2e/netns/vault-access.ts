/**
 * Takes the vault away from single hosts. Every host sees the vault through a bind mount in a mount namespace of its
 * own, and what is mounted over that is seen by this host alone:
 * - `hang`: a FUSE file system whose server never answers. Every call waits, as on a hard-mounted share whose server is
 *   gone.
 * - `error`: a FUSE file system whose server is dead: every call fails at once (ENOTCONN).
 * - `read-only`: the vault once more, read-only (EROFS).
 * - `unmounted`: the bind mount is gone and the bare mount point shows, an empty folder.
 * Descriptors that the host had open before still lead to the vault.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

export type VaultCut = "hang" | "error" | "read-only" | "unmounted";

const overFuse = 'exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 cut "$1" || exit 1';
const scripts: Readonly<Record<VaultCut, string>> = {
  // The server's end stays open until our end of its input closes.
  hang: `${overFuse}; echo done; cat >/dev/null`,
  error: `${overFuse}; exec 9>&-; echo done`,
  // Read-only before the host sees it: a file that it had opened for writing meanwhile would make the mount busy.
  "read-only":
    'mkdir -p "$1.ro" && mount --bind "$2" "$1.ro" && mount -o remount,bind,ro "$1.ro" && mount --bind "$1.ro" "$1" && umount "$1.ro" && echo done',
  unmounted: 'umount -l "$1" && echo done',
};
const healed: Readonly<Record<VaultCut, string>> = {
  hang: 'umount -l "$1" && echo done',
  error: 'umount -l "$1" && echo done',
  "read-only": 'umount -l "$1" && echo done',
  unmounted: 'mount --bind "$2" "$1" && echo done',
};

interface Cut {
  readonly kind: VaultCut;
  readonly pid: number;
  readonly process: ChildProcess;
}

export class VaultAccess {
  readonly vault: string;
  readonly #folder: string;
  readonly #cuts = new Map<string, Cut>();

  constructor(folder: string) {
    this.#folder = folder;
    this.vault = join(folder, "vault");
  }

  /** Where this host has the vault mounted; made here. */
  pathOf(host: string): string {
    const path = join(this.#folder, `vault-of-${host}`);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** To be run inside the host's mount namespace: mounts, then becomes the command. */
  commandOf(host: string, command: readonly string[]): string[] {
    return [
      "sh",
      "-c",
      'mount --bind "$1" "$2" && shift 2 && exec "$@"',
      "sh",
      this.vault,
      this.pathOf(host),
      ...command,
    ];
  }

  /** `pid`: the host's process. */
  async cut(host: string, pid: number, kind: VaultCut): Promise<void> {
    const process = await this.#inNamespaceOf(pid, scripts[kind], host);
    this.#cuts.set(host, { kind, pid, process });
  }

  async heal(): Promise<void> {
    for (const [host, { kind, pid, process }] of [...this.#cuts]) {
      // With the host ended, its mounts have ended too.
      if (existsSync(`/proc/${pid}/ns/mnt`)) (await this.#inNamespaceOf(pid, healed[kind], host)).stdin?.end();
      process.stdin?.end();
      this.#cuts.delete(host);
    }
  }

  /** Lets go of everything that hangs; the mounts end with their namespaces. */
  close(): void {
    for (const { process } of this.#cuts.values()) process.stdin?.end();
    this.#cuts.clear();
  }

  /** Resolves when the script says that it is done; it may continue after that. */
  async #inNamespaceOf(pid: number, script: string, host: string): Promise<ChildProcess> {
    const args = ["-t", String(pid), "-m", "sh", "-c", script, "sh", this.pathOf(host), this.vault];
    const child = spawn("nsenter", args, { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    await new Promise<void>((resolve, reject) => {
      child.stdout.once("data", () => resolve());
      child.once("error", reject);
      child.once("close", (code) => reject(new Error(`${script}: exit code ${code}: ${said}`)));
    });
    return child;
  }
}
