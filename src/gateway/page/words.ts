/** How the page writes times, durations and absent values. */

const dash = "–";

export const orDash = (value: string | number | null | undefined): string =>
  value === null || value === undefined || value === "" ? dash : String(value);

/** `412 ms`, `3.4 s`, `2 min`, `5 h`, `3 d`. */
export function inUnits(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`;
}

/** UTC, to the second. */
export const instant = (wallTimeMs: number): string =>
  new Date(wallTimeMs)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, " UTC");

/** Until when and why an order lasts, behind what it is. */
export function termsText(terms: { readonly reason: string | null; readonly untilMs: number | null } | null): string {
  if (terms === null) return "";
  const until = terms.untilMs === null ? "" : ` until ${instant(terms.untilMs)}`;
  return `${until}${terms.reason === null ? "" : `: ${terms.reason}`}`;
}
