/**
 * Environment variables in the strings of a configuration: `${NAME}` stands for the value of NAME, `$${` for `${`
 * itself. Programs with their arguments stay as they are, since a shell among them has variables of its own.
 *
 * A value from the environment may be a secret: problems show the name of its variable instead (`Redaction`). A key
 * that is always a secret takes it only from a variable that no child process inherits (runtime/clean-environment.ts).
 */
import type * as v from "valibot";
import { commandLine } from "./fields.ts";
import { type KeyPath, pathText } from "./locate.ts";
import type { Problems, Said } from "./problems.ts";
import { fileSchema } from "./schema.ts";
import { isSecretKey } from "./secret-keys.ts";
import { schemaAt } from "./walk.ts";

export type Environment = Readonly<Partial<Record<string, string>>>;

export interface Filled {
  readonly raw: Record<string, unknown>;
  /** Values by the names of their variables. */
  readonly values: ReadonlyMap<string, string>;
  /** Whether the text of this key has a variable. */
  has(path: KeyPath): boolean;
  /** Whether `problems` has something about a variable of this key. */
  isRefused(path: KeyPath): boolean;
}

/** A file, and which of its keys have variables. */
export interface FileSource {
  /** Absolute path of the configuration. */
  readonly file: string;
  readonly filled: Pick<Filled, "has">;
}

/** An escape, a variable, or the beginning of one that is not complete. */
const variable = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{/g;

/** Returns the content with values in place of variables; adds each one that is not set to `problems`. */
export function fillVariables(raw: Record<string, unknown>, env: Environment, problems: Problems): Filled {
  const values = new Map<string, string>();
  const paths = new Set<string>();
  const refused = new Set<string>();
  const refuse = (path: KeyPath, said: Said): void => {
    refused.add(pathText(path));
    problems.add(path, said);
  };
  const valueOf = (name: string, path: KeyPath): string => {
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    paths.add(pathText(path));
    if (value === undefined) refuse(path, unset(name));
    else if (isSecretKey(path) && !name.startsWith(privatePrefix)) refuse(path, inherited(name));
    values.set(name, value ?? "");
    return value ?? "";
  };
  const fillText = (text: string, path: KeyPath): string =>
    text.replace(variable, (found: string, name: string | undefined) => {
      if (name !== undefined) return valueOf(name, path);
      if (found === "${") refuse(path, incomplete);
      return "${";
    });
  const fill = (value: unknown, path: KeyPath): unknown => {
    if (typeof value === "string") return fillText(value, path);
    if (Array.isArray(value)) return isProgram(path) ? value : value.map((item, index) => fill(item, [...path, index]));
    if (typeof value !== "object" || value === null || value instanceof Date) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, [...path, key])]));
  };
  return {
    raw: fill(raw, []) as Record<string, unknown>,
    values,
    has: (path) => paths.has(pathText(path)),
    isRefused: (path) => refused.has(pathText(path)),
  };
}

const privatePrefix = "STEAD_";

const unset = (name: string): Said => ({
  found: `\${${name}}, a variable that is not set`,
  accepted: "the name of a variable in the environment of this process",
  advice: `set ${name} (in a unit: Environment= or EnvironmentFile=); for the text itself write $\${${name}}`,
});

const inherited = (name: string): Said => ({
  found: `a secret from the variable ${name}, which the application and other programs would inherit`,
  accepted: `a variable whose name begins with ${privatePrefix}: no program that stead starts gets it`,
  advice: `call it ${privatePrefix}${name}, or name a file with the secret`,
});

const incomplete: Said = {
  found: "${ without a variable's name and }",
  accepted: "${NAME}: letters, digits and _, not beginning with a digit",
  advice: "correct it; for the text itself write $${",
};

function isProgram(path: KeyPath): boolean {
  let schema: v.GenericSchema | undefined = schemaAt(fileSchema, path);
  while (schema !== undefined && "wrapped" in schema) schema = schema.wrapped as v.GenericSchema;
  return schema === commandLine;
}

/** A shorter value would also be found in words that do not come from it. */
const redactedCharactersMin = 4;

/** Returns a text with the names of variables in place of their values. */
export function redactValues(text: string, values: ReadonlyMap<string, string>): string {
  const longestFirst = [...values].toSorted(([, a], [, b]) => b.length - a.length);
  return longestFirst.reduce((current, [name, value]) => {
    if (value.length < redactedCharactersMin) return current;
    const quoted = JSON.stringify(value).slice(1, -1);
    return current.replaceAll(quoted, `\${${name}}`).replaceAll(value, `\${${name}}`);
  }, text);
}
