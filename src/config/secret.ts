/**
 * The cluster's secret, from exactly one of `cluster.secret`, the file `cluster.secret_file` and the environment
 * variable STEAD_SECRET, so that it is never in doubt which one applies.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Problems, Said } from "./problems.ts";
import type { FileContent } from "./schema.ts";

export const secretLengthMin = 16;
const secretLengthMax = 1024;

export interface SecretInput {
  readonly file: string;
  readonly cluster: FileContent["cluster"];
  readonly env: Readonly<Partial<Record<string, string>>>;
  /** True when the file has a part that needs the secret. */
  readonly needed: boolean;
}

/** Returns the secret, or undefined after adding to `problems` (or if none is needed and there is none). */
export function readSecret(input: SecretInput, problems: Problems, warnings: Problems): string | undefined {
  const { cluster } = input;
  const fromEnv = input.env["STEAD_SECRET"];
  const sources = [
    ...(cluster.secret === undefined ? [] : ["cluster.secret"]),
    ...(cluster.secret_file === undefined ? [] : ["cluster.secret_file"]),
    ...(fromEnv === undefined ? [] : ["the environment variable STEAD_SECRET"]),
  ];
  if (sources.length > 1) {
    problems.add(["cluster"], {
      found: `${sources.length} sources of the secret: ${sources.join(" and ")}`,
      accepted: "exactly one of them",
      advice: "remove the others; `secret_file` is the best choice",
    });
    return undefined;
  }
  if (sources.length === 0) {
    if (input.needed) problems.add(["cluster"], { found: "no secret", accepted: accepted, advice: advice });
    return undefined;
  }
  if (cluster.secret_file !== undefined) {
    const named = { configFile: input.file, name: cluster.secret_file, key: ["cluster", "secret_file"] };
    return readSecretFile(named, problems, warnings);
  }
  if (cluster.secret !== undefined) warnWhenReadable(input.file, ["cluster", "secret"], warnings);
  const key = cluster.secret === undefined ? ["cluster"] : ["cluster", "secret"];
  return checkSecret(cluster.secret ?? fromEnv ?? "", key, problems);
}

const accepted =
  "`secret_file`, `secret` or the environment variable STEAD_SECRET, the same for all gateways and hosts";
const advice =
  "make one with `stead init`, or put at least 16 random characters into a file and name it as `secret_file`";

export interface SecretFile {
  /** Relative names are relative to its folder. */
  readonly configFile: string;
  readonly name: string;
  /** The setting that names it. */
  readonly key: readonly string[];
}

/** Returns the only line of a file, or undefined after adding to `problems`. */
export function readSecretFile(
  { configFile, name, key }: SecretFile,
  problems: Problems,
  warnings: Problems,
): string | undefined {
  const path = resolve(dirname(configFile), name);
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    problems.add(key, {
      found: `${JSON.stringify(name)}, which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      accepted: "a readable file with the secret as its only line",
      advice: `create ${path}, or correct the path (it is relative to the folder of this file)`,
    });
    return undefined;
  }
  warnWhenReadable(path, key, warnings);
  return checkSecret(content.replace(/\r?\n$/, ""), key, problems);
}

/** Returns the secret, or undefined after adding to `problems` at the key. */
export function checkSecret(secret: string, key: readonly string[], problems: Problems): string | undefined {
  const problem = (said: Said): void => problems.add(key, said);
  if (secret.length < secretLengthMin || secret.length > secretLengthMax) {
    problem({
      found: `a secret of ${secret.length} characters`,
      accepted: `${secretLengthMin} to ${secretLengthMax} characters`,
      advice,
    });
    return undefined;
  }
  // Some programs send it in an Authorization header (RFC 6750, b64token), which white space or a line end would split.
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    problem({
      found: "a secret with spaces, line ends or non-ASCII characters",
      accepted: "visible ASCII characters only",
      advice,
    });
    return undefined;
  }
  return secret;
}

/** A file with a secret, named at `key`, should be its owner's alone. */
export function warnWhenReadable(path: string, key: readonly string[], warnings: Problems): void {
  const mode = modeOf(path);
  if (mode === undefined || (mode & 0o077) === 0) return;
  warnings.add(key, {
    found: `${path} with mode ${mode.toString(8).padStart(4, "0")}, which lets others on this machine read the secret`,
    accepted: "mode 0600 or 0400",
    advice: `chmod 600 ${path}`,
  });
}

/** Returns the permission bits; undefined if there is no such file. */
function modeOf(path: string): number | undefined {
  try {
    return statSync(path).mode & 0o777;
  } catch {
    return undefined;
  }
}
