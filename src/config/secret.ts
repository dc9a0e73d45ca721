/**
 * The cluster's secret, from exactly one of `cluster.secret`, the file `cluster.secret_file` and the environment
 * variable STEAD_SECRET, so that it is never in doubt which one applies.
 *
 * A file has the secret in its first line. While it is rotated, a second line `SECRET until TIME` has the former one,
 * which is valid up to that time (ISO 8601, UTC): who copies the file gives both, and neither stays by accident.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { KeyPath } from "./locate.ts";
import type { Problems, Said } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import type { SecretSource } from "./types.ts";
import type { FileSource, Filled } from "./variables.ts";

export const secretLengthMin = 16;
const secretLengthMax = 1024;

export interface SecretInput {
  readonly file: string;
  readonly cluster: FileContent["cluster"];
  readonly env: Readonly<Partial<Record<string, string>>>;
  /** True when the file has a part that needs the secret. */
  readonly needed: boolean;
  readonly filled: Pick<Filled, "has">;
}

/** The content of a file. */
export interface Secrets {
  readonly secret: string;
  /** Undefined: the secret is not being rotated. */
  readonly former: FormerSecret | undefined;
}

export interface FormerSecret {
  readonly secret: string;
  /** Wall clock. */
  readonly untilMs: number;
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
  if (cluster.secret !== undefined) warnWhenWritten(input, ["cluster", "secret"], warnings);
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

/** Returns the secret of a file, the first of two while it is rotated, or undefined after adding to `problems`. */
export function readSecretFile(
  { configFile, name, key }: SecretFile,
  problems: Problems,
  warnings: Problems,
): string | undefined {
  const path = resolve(dirname(configFile), name);
  const read = readSecrets(path, name);
  if (read.kind === "invalid") {
    problems.add(key, read.said);
    return undefined;
  }
  if (read.secrets.former !== undefined && key[0] !== "cluster") {
    problems.add(key, {
      found: `a second line in ${JSON.stringify(name)}`,
      accepted: "the key as the only line",
      advice: "remove it; two are valid at once only in `cluster.secret_file`",
    });
    return undefined;
  }
  warnWhenReadable(path, key, warnings);
  return read.secrets.secret;
}

export type SecretsRead =
  | { readonly kind: "ok"; readonly secrets: Secrets }
  | { readonly kind: "invalid"; readonly said: Said };

/** `name`: as the operator wrote it. */
export function readSecrets(path: string, name = path): SecretsRead {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    return invalid({
      found: `${JSON.stringify(name)}, which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      accepted: "a readable file with the secret as its only line",
      advice: `create ${path}, or correct the path (it is relative to the folder of this file)`,
    });
  }
  return parseSecrets(content);
}

const invalid = (said: Said): SecretsRead => ({ kind: "invalid", said });

const formerLine = /^(\S+) until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)$/;

function parseSecrets(content: string): SecretsRead {
  const text = content.replace(/\r?\n$/, "");
  const [first = "", second, ...more] = text.split(/\r?\n/);
  const [, formerText = "", until = ""] = formerLine.exec(second ?? "") ?? [];
  if (second === undefined || more.length > 0 || formerText === "") return withSecret(text, undefined);
  const untilMs = Date.parse(until);
  const fault = faultOf(formerText);
  if (fault !== undefined) return invalid({ ...fault, found: `as the former one, ${fault.found}` });
  if (!Number.isFinite(untilMs) || formerText === first)
    return invalid({
      found: formerText === first ? "the same secret twice" : `${until}, which is no time`,
      accepted: "in a second line the former secret, ` until `, and a time such as 2030-01-31T12:00:00Z",
      advice: "let `stead secret rotate` write the file, or leave the second line out",
    });
  return withSecret(first, { secret: formerText, untilMs });
}

function withSecret(secret: string, former: FormerSecret | undefined): SecretsRead {
  const fault = faultOf(secret);
  return fault === undefined ? { kind: "ok", secrets: { secret, former } } : invalid(fault);
}

/** Returns the text of a file with these secrets. */
export const formatSecrets = ({ secret, former }: Secrets): string =>
  `${secret}\n${former === undefined ? "" : `${former.secret} until ${new Date(former.untilMs).toISOString()}\n`}`;

/**
 * Returns where the secret of a configuration comes from; `file`: absolute path of the configuration. A variable in the
 * file is a part of the environment.
 */
export function sourceOf(
  file: string,
  { secret, secret_file }: FileContent["cluster"],
  isFromVariable: boolean,
): SecretSource {
  if (secret_file !== undefined) return { kind: "file", path: resolve(dirname(file), secret_file) };
  return secret === undefined || isFromVariable ? { kind: "environment" } : { kind: "configuration", path: file };
}

/** Returns the secret, or undefined after adding to `problems` at the key. */
export function checkSecret(secret: string, key: readonly string[], problems: Problems): string | undefined {
  const fault = faultOf(secret);
  if (fault === undefined) return secret;
  problems.add(key, fault);
  return undefined;
}

/** Returns what is wrong with a secret; undefined: nothing. */
function faultOf(secret: string): Said | undefined {
  if (secret.length < secretLengthMin || secret.length > secretLengthMax)
    return {
      found: `a secret of ${secret.length} characters`,
      accepted: `${secretLengthMin} to ${secretLengthMax} characters`,
      advice,
    };
  // Some programs send it in an Authorization header (RFC 6750, b64token), which white space or a line end would split.
  if (!/^[\x21-\x7e]+$/.test(secret))
    return {
      found: "a secret with spaces, line ends or non-ASCII characters",
      accepted: "visible ASCII characters only",
      advice,
    };
  return undefined;
}

/** A configuration that has a secret itself, at `key`, should be its owner's alone. */
export function warnWhenWritten({ file, filled }: FileSource, key: KeyPath, warnings: Problems): void {
  if (!filled.has(key)) warnWhenReadable(file, key, warnings);
}

/** A file with a secret, named at `key`, should be its owner's alone. */
export function warnWhenReadable(path: string, key: KeyPath, warnings: Problems): void {
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
