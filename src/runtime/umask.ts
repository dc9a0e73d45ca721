/**
 * The mode of files that this process makes. A process of stead gives other users no access (umask 077): vault,
 * databases and state have what customers' rows have. What it starts for others, the application, gets the umask back
 * that it was started with.
 */

/** What this process was started with, once `restrictUmask` was called. */
let inherited: number | undefined;

/** Called once, before anything is written. */
export function restrictUmask(): void {
  inherited ??= process.umask(0o077);
}

/**
 * Lets the group read and write new files too: hosts with different users share a vault by its group, and say so by the
 * mode of its folder.
 */
export function shareWithGroup(): void {
  process.umask(process.umask() & ~0o070);
}

/** Returns the umask for processes that are not of stead, for `umask` of a shell. */
export const inheritedUmask = (): string => (inherited ?? process.umask()).toString(8).padStart(4, "0");
