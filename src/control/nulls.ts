/**
 * What is absent is `undefined` inside and `null` in the JSON of an API (docs/STYLE.md, "Dialect"). Messages are turned
 * where they come in and go out, whole: a property that is there stays there.
 */

export type WithNulls<T> = T extends undefined
  ? null
  : T extends readonly (infer Each)[]
    ? WithNulls<Each>[]
    : T extends object
      ? { -readonly [Key in keyof T]: WithNulls<T[Key]> }
      : T;

export type WithoutNulls<T> = T extends null
  ? undefined
  : T extends readonly (infer Each)[]
    ? readonly WithoutNulls<Each>[]
    : T extends object
      ? { readonly [Key in keyof T]: WithoutNulls<T[Key]> }
      : T;

/** A value of the program as an API says it. It holds plain objects, arrays and what JSON knows. */
export const withNulls = <T>(value: T): WithNulls<T> => mapped(value, undefined, null) as WithNulls<T>;

/** What an API said, as the program has it. */
export const withoutNulls = <T>(value: T): WithoutNulls<T> => mapped(value, null, undefined) as WithoutNulls<T>;

function mapped(value: unknown, from: null | undefined, to: null | undefined): unknown {
  if (value === from) return to;
  if (Array.isArray(value)) return value.map((each) => mapped(each, from, to));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapped(each, from, to)]));
}
