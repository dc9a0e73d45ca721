/** Formats a number of bytes for people: three digits are enough to read. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return at === 0 ? `${bytes}B` : `${value >= 100 ? Math.round(value) : value.toFixed(1)}${units[at] ?? ""}`;
}
