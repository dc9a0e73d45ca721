/** The keys of a configuration whose values are secrets: no message shows them, and a file may have each instead. */
import type { KeyPath } from "./locate.ts";

const secretKeys: readonly RegExp[] = [
  /^cluster\.secret$/,
  /^gateway\.traces\.headers\b/,
  /^host\.vault_key$/,
  /^notify\.(?:url|secret|token|password)$/,
  /^service\.objective\.probe\.(?:token$|headers\b)/,
];

export function isSecretKey(path: KeyPath): boolean {
  const key = path.filter((part) => typeof part === "string").join(".");
  return secretKeys.some((secret) => secret.test(key));
}

/** A line of a file that is not TOML, and may have a secret. */
export const mayHaveSecret = (line: string): boolean =>
  /secret|token|password|vault_key|url|headers|authorization/i.test(line);
