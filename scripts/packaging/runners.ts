/**
 * How this machine runs the executable of a target: as it is, an arm64 one by qemu's user mode, a musl one by musl's
 * loader. Each needs a package of Debian; without it, or on another machine, the runner says what is missing.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BuildTarget } from "../lib/libsql-plugin.ts";

export type Runner =
  | {
      readonly kind: "here";
      /** In words, for the table. */
      readonly by: string;
      /** Put before the path of the executable. */
      readonly command: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      /** Emulated, a record takes longer than the lease of a cluster: failovers are not tried. */
      readonly isSlow: boolean;
    }
  | { readonly kind: "nowhere"; readonly why: string };

const nowhere = (why: string): Runner => ({ kind: "nowhere", why });
const isLinuxX64 = process.platform === "linux" && process.arch === "x64";
const crossFolder = "/usr/aarch64-linux-gnu";
const emulator = "/usr/bin/qemu-aarch64-static";
const loader = "/lib/ld-musl-x86_64.so.1";

/** `folder` is for files that the runner makes. */
export function runnerOf(target: BuildTarget, folder: string): Runner {
  switch (target) {
    case "bun-darwin-arm64":
    case "bun-darwin-x64":
      return nowhere("needs a Mac");
    case "bun-windows-x64":
      return nowhere("needs Windows");
    case "bun-linux-arm64-musl":
      return nowhere("Debian has no libraries of musl for arm64 on this machine");
    case "bun-linux-x64":
      return isLinuxX64 && existsSync("/lib64/ld-linux-x86-64.so.2")
        ? { kind: "here", by: "as it is", command: [], env: {}, isSlow: false }
        : nowhere("needs Linux on x64 with glibc");
    case "bun-linux-arm64":
      return isLinuxX64 ? emulated() : nowhere("needs Linux on x64 with qemu");
    case "bun-linux-x64-musl":
      return isLinuxX64 ? onMusl(folder) : nowhere("needs Linux on x64");
  }
}

/**
 * The program starts itself again, so the kernel has to know the emulator: in a user namespace, which has its own
 * binfmt_misc (Linux 6.7), so that the machine is left as it is.
 */
function emulated(): Runner {
  if (!existsSync(emulator)) return nowhere("needs qemu-user-static");
  if (!existsSync(join(crossFolder, "lib/libgcc_s.so.1")))
    return nowhere("needs libc6-arm64-cross and libgcc-s1-arm64-cross");
  const magic = "\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00";
  const mask = "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff";
  const register = [
    "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc",
    `printf '%s' ':qemu-aarch64:M::${magic}:${mask}:${emulator}:F' >/proc/sys/fs/binfmt_misc/register`,
    'exec "$@"',
  ].join(" && ");
  const command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", register, "sh"];
  const [program = "", ...args] = [...command, "true"];
  if (spawnSync(program, args).status !== 0) return nowhere("needs user namespaces with binfmt_misc (Linux 6.7)");
  return { kind: "here", by: "qemu-user", command, env: { QEMU_LD_PREFIX: crossFolder }, isSlow: true };
}

/** Debian's libstdc++ is for glibc: musl-names.c has the few names that musl lacks. */
function onMusl(folder: string): Runner {
  if (!existsSync(loader)) return nowhere("needs musl");
  if (Bun.which("gcc") === null) return nowhere("needs gcc");
  const libraries = join(folder, "musl-libraries");
  mkdirSync(libraries, { recursive: true });
  for (const name of ["libstdc++.so.6", "libgcc_s.so.1"]) {
    const path = `/usr/lib/x86_64-linux-gnu/${name}`;
    if (!existsSync(path)) return nowhere(`needs ${path}`);
    copyFileSync(path, join(libraries, name));
  }
  const library = join(libraries, "ld-linux-x86-64.so.2");
  const source = join(import.meta.dirname, "musl-names.c");
  const built = spawnSync("gcc", ["-O2", "-shared", "-nostdlib", "-fPIC", "-fno-builtin", "-o", library, source]);
  if (built.status !== 0) return nowhere(`gcc could not make ${library}: ${built.stderr.toString().trim()}`);
  const by = "musl's loader, with Debian's libstdc++";
  return { kind: "here", by, command: [], env: { LD_LIBRARY_PATH: libraries }, isSlow: false };
}
