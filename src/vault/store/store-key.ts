/** The form of keys in the store contract, checked here for every store. */
import { keyBytesMax } from "../limits.ts";

/** Segments between slashes. */
const shape = /^[a-z0-9_][a-z0-9._-]*(?:\/[a-z0-9_][a-z0-9._-]*)*$/;

export function isKey(key: string): boolean {
  return key.length <= keyBytesMax && shape.test(key);
}

/** An invalid key is a programming error. */
export function assertKey(key: string): void {
  if (!isKey(key)) throw new RangeError(`not a key of a store: ${JSON.stringify(key)}`);
}

export function assertPrefix(prefix: string): void {
  if (!prefix.endsWith("/") || !isKey(prefix.slice(0, -1)))
    throw new RangeError(`not a prefix of keys: ${JSON.stringify(prefix)}`);
}

/** The final step of `list` for all stores: only keys > after, ascending by code unit, no more than the limit. */
export function pageOf(
  keys: string[],
  options: { readonly after?: string; readonly limit?: number } | undefined,
): string[] {
  const after = options?.after;
  const wanted = after === undefined ? keys : keys.filter((key) => key > after);
  wanted.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return options?.limit === undefined ? wanted : wanted.slice(0, options.limit);
}
