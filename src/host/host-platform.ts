/**
 * Where a host can run. Capture finds out who writes by /proc and inotify, and locks as SQLite does with Linux's locks
 * of open files; on other systems a host would start, and miss commits.
 */
import { OperatorError } from "../runtime/operator-error.ts";

const names: Readonly<Record<string, string>> = { darwin: "macOS", win32: "Windows", freebsd: "FreeBSD" };

/** `what`: the command. Throws OperatorError where a host cannot run. */
export function assertHostPlatform(what: string, platform: string = process.platform): void {
  if (platform === "linux") return;
  throw new OperatorError("resource", {
    found: `${what} on ${names[platform] ?? platform}, where a host cannot capture what an application commits`,
    accepted: "Linux; on macOS gateways, vault servers and all other commands run",
    advice: "run it on Linux, or in a container or virtual machine of it (docs/PLATFORMS.md says what runs where)",
  });
}
