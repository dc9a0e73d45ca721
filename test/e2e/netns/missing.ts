/** What this machine lacks for the tests in network namespaces; undefined when they can run. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";

const needed = ["ip", "nsenter", "mount", "umount", "sh"];

export function missingForNamespaces(): string | undefined {
  if (process.platform !== "linux") return "network namespaces exist on Linux only";
  if (process.getuid?.() !== 0) return "they need root";
  const absent = needed.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  if (absent.length > 0) return `not installed: ${absent.join(", ")} (packages iproute2 and util-linux)`;
  const name = `stead-probe-${randomBytes(3).toString("hex")}`;
  const script = `ip netns add ${name} && ip link add name ${name.slice(-9)} netns ${name} type veth peer name other netns ${name} && ip netns exec ${name} true`;
  const tried = spawnSync("sh", ["-c", `${script}; code=$?; ip netns del ${name}; exit $code`], { encoding: "utf8" });
  if (tried.status !== 0) return `the kernel refuses them: ${tried.stderr.trim().split("\n")[0] ?? ""}`;
  return undefined;
}

/** For scenarios that hang or break a single host's vault. */
export function missingForVaultCuts(): string | undefined {
  return existsSync("/dev/fuse") ? undefined : "/dev/fuse is missing";
}
