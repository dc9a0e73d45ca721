/** Values of flags that name a moment of the log. */

export function positionOf(text: string): number {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text))
    throw new Error(`expected a position of the log (a whole number), found ${JSON.stringify(text)}`);
  return value;
}

/** A time without a zone would mean something different on each machine. */
export function wallTimeOf(text: string): number {
  const value = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(value))
    throw new Error(
      `expected a time with its zone, for example 2026-03-01T12:00:00Z or 2026-03-01T13:00:00+01:00, found ${JSON.stringify(text)}`,
    );
  return value;
}
