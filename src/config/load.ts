/**
 * Loads a configuration file in the order TOML, schema, contradictions, secret, and reports all problems at once. An
 * invalid part is never replaced by a default; the whole file is refused.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { findContradictions, type PartialContent } from "./contradictions.ts";
import { type Explanation, explanationOf } from "./fields.ts";
import { type KeyPath, locateKeys, pathText } from "./locate.ts";
import { readMaintenancePages } from "./maintenance.ts";
import { resolveNotify } from "./notify.ts";
import { resolveTraces } from "./traces.ts";
import { Problems, show } from "./problems.ts";
import {
  resolveApplicationUser,
  resolveCluster,
  resolveGateway,
  resolveHost,
  resolveServices,
  resolveVaultServer,
} from "./resolve.ts";
import { clusterDefault, fileSchema } from "./schema.ts";
import { readProbeTokens } from "./drill-token.ts";
import { readSecret, warnWhenReadable } from "./secret.ts";
import { mayHaveSecret } from "./secret-keys.ts";
import { suggest } from "./suggest.ts";
import type { Config, ConfigResult, NotifyTarget, Problem, TracesConfig, VaultKeySource } from "./types.ts";
import { type Filled, type FileSource, fillVariables, redactValues } from "./variables.ts";
import { readVaultKey } from "./vault-key.ts";
import { pathsOfKey, schemaAt, unknownKeys } from "./walk.ts";

/** Files with credentials for buckets, each with the place of the table that names it. */
function credentialsFiles(host: PartialContent["host"]): readonly (readonly [file: string, path: KeyPath])[] {
  const tables = [
    [host?.vault_s3, ["host", "vault_s3"]] as const,
    ...(host?.vault_copy ?? []).map(({ s3 }, index) => [s3, ["host", "vault_copy", index, "s3"]] as const),
  ];
  return tables.flatMap(([s3, path]) => (s3?.credentials_file === undefined ? [] : [[s3.credentials_file, path]]));
}

const configBytesMax = 1024 * 1024;

export interface LoadOptions {
  /** Environment for STEAD_SECRET, STEAD_VAULT_KEY and variables in the file; default: the process's own. */
  readonly env?: Readonly<Partial<Record<string, string>>>;
  /**
   * The file was not named: it lies in the working folder. It names the addresses that get the secret, and programs,
   * so it must be of the user who runs this, or of root, and of no other user to change.
   */
  readonly isFoundByItself?: boolean;
  /** Folder for relative file names; default: the working folder. */
  readonly folder?: string;
}

/**
 * @param path relative paths inside the file are relative to the file's folder
 * @example
 * const result = loadConfig("stead.toml");
 * if (result.kind === "invalid") console.error(formatProblems(result.problems));
 */
export function loadConfig(path: string, options: LoadOptions = {}): ConfigResult {
  let text: string;
  try {
    text = readFileSync(resolve(options.folder ?? ".", path), "utf8");
  } catch (error) {
    return unreadable(path, `no readable file (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
  const fault = faultOfOwner(resolve(options.folder ?? ".", path));
  if (options.isFoundByItself === true && fault !== undefined) return untrusted(path, fault);
  if (text.length > configBytesMax) return unreadable(path, `${text.length} characters`);
  return parseConfig(path, text, options);
}

const untrusted = (file: string, found: string): ConfigResult => ({
  kind: "invalid",
  problems: [
    {
      ...{ file, line: undefined, column: undefined, key: "", found },
      accepted: "in the working folder: a file of the user who runs this, or of root, that no other user can change",
      advice: "look at the file; if it is yours, correct owner and mode, or name it explicitly",
    },
  ],
});

const othersWrite = 0o002;
const groupWrites = 0o020;

/** Returns why another user may have written this file, or can replace it; undefined: none. */
function faultOfOwner(path: string): string | undefined {
  const own = process.geteuid?.();
  if (own === undefined) return undefined;
  for (const [what, place] of [
    ["the file", path],
    ["its folder", dirname(path)],
  ] as const) {
    const { uid, gid, mode } = statSync(place);
    if (uid !== own && uid !== 0) return `${what} ${place}, which belongs to user ${uid}`;
    // In a sticky folder only its owner replaces a file; a user's own group is usually theirs alone (umask 002).
    const isSticky = place !== path && (mode & 0o1000) !== 0;
    const writers = gid === process.getegid?.() ? othersWrite : othersWrite | groupWrites;
    if ((mode & writers) !== 0 && !isSticky)
      return `${what} ${place} with mode ${(mode & 0o777).toString(8).padStart(4, "0")}, which lets other users change it`;
  }
  return undefined;
}

const unreadable = (file: string, found: string): ConfigResult => ({
  kind: "invalid",
  problems: [
    {
      ...{ file, line: undefined, column: undefined, key: "", found },
      accepted: "a configuration file in TOML of at most 1 MiB",
      advice: "name an existing file, or write one with `stead init`",
    },
  ],
});

/** Same as `loadConfig` for text that is already read; `file` names it in messages and anchors relative paths. */
export function parseConfig(file: string, text: string, options: LoadOptions = {}): ConfigResult {
  let written: Record<string, unknown>;
  try {
    written = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return { kind: "invalid", problems: [syntaxProblem(file, text, error)] };
  }
  const locate = locateKeys(text);
  const { env = process.env } = options;
  let values: ReadonlyMap<string, string> = new Map();
  const problems = new Problems(file, locate, (said) => redactValues(said, values));
  const warnings = new Problems(file, locate, (said) => redactValues(said, values));
  reportUnknownKeys(written, problems);
  const filled = fillVariables(written, env, problems);
  const { raw } = filled;
  values = filled.values;
  const content = validateParts(filled, written, problems);
  const anchor = resolve(options.folder ?? ".", file);
  findContradictions(anchor, content, problems);
  const cluster = content.cluster ?? clusterDefault;
  const needed = ["gateway", "host", "vault"].some((part) => raw[part] !== undefined);
  const secret =
    content.cluster === undefined
      ? undefined
      : readSecret({ file: anchor, cluster, env, needed, filled }, problems, warnings);
  const vaultKey =
    content.host === undefined
      ? undefined
      : readVaultKey({ file: anchor, host: content.host, env, filled }, problems, warnings);
  const pages = readMaintenancePages(anchor, content.service ?? [], problems);
  const tokens = readProbeTokens({ file: anchor, filled }, content.service ?? [], problems, warnings);
  const notify = resolveNotify({ file: anchor, filled }, content.notify ?? [], problems, warnings);
  const traces = resolveTraces({ file: anchor, filled }, content.gateway?.traces, problems, warnings);
  for (const [credentials, path] of credentialsFiles(content.host))
    warnWhenReadable(resolve(dirname(anchor), credentials), [...path, "credentials_file"], warnings);
  if (!needed && raw["service"] === undefined && raw["cluster"] === undefined) reportEmpty(problems);
  const found = problems.sorted();
  if (found.length > 0) return { kind: "invalid", problems: found };
  return {
    kind: "ok",
    config: resolveParts(
      { file: anchor, filled },
      content,
      { secret: secret ?? "", vaultKey, notify, traces, pages, tokens },
      warnings.sorted(),
    ),
  };
}

const lineCharactersShown = 80;

function syntaxProblem(file: string, text: string, error: TomlError): Problem {
  const line = text.split(/\r?\n/)[error.line - 1]?.trim() ?? "";
  const shown = line === "" || mayHaveSecret(line) ? "" : `: ${line.slice(0, lineCharactersShown)}`;
  return {
    ...{ file, line: error.line, column: error.column, key: "" },
    found: `text that is not TOML (${reasonOf(error)})${shown}`,
    accepted: 'TOML 1.0: [table] lines and key = value lines, strings in quotes, for example lease = "1s"',
    advice: "correct this line; the lines after it were not checked",
  };
}

/** The parser wraps its reason into a text, with the line below it. An error without a reason shows the wrapping. */
const wrapping = new TomlError("", { toml: "", ptr: 0 }).message;
const endOfReason = "\n\n";

function reasonOf({ message, codeblock }: TomlError): string {
  const start = wrapping.length - endOfReason.length;
  return message.slice(start, message.length - codeblock.length - endOfReason.length);
}

function reportUnknownKeys(raw: Record<string, unknown>, problems: Problems): void {
  for (const { path, known } of unknownKeys(fileSchema, raw)) {
    const key = String(path.at(-1));
    const near = suggest(key, known);
    const elsewhere = pathsOfKey(fileSchema, key);
    const hint =
      near !== undefined
        ? `did you mean "${near}"? `
        : elsewhere[0] !== undefined
          ? `it belongs into ${elsewhere.join(" or ")}; `
          : "";
    problems.add(path, {
      found: `the unknown key "${key}"`,
      accepted: known.join(", "),
      advice: `${hint}correct or remove it`,
    });
  }
}

function reportEmpty(problems: Problems): void {
  problems.add([], {
    found: "none of [gateway], [[service]], [host] and [vault]",
    accepted: "at least one of them, or [cluster] alone for commands that call a gateway",
    advice: "write an example with `stead init` and adapt it",
  });
}

/** Validates each part separately, so that a mistake in one does not hide contradictions in another. */
function validateParts(
  { raw, isRefused }: Filled,
  written: Record<string, unknown>,
  problems: Problems,
): PartialContent {
  const content: Record<string, unknown> = {};
  for (const [part, schema] of Object.entries(fileSchema.entries)) {
    const result = v.safeParse(schema, raw[part]);
    if (result.success) content[part] = result.output;
    else
      for (const issue of result.issues) {
        const path: KeyPath = [part, ...(issue.path ?? []).map((item) => item.key as string | number)];
        if (!isRefused(path)) reportIssue(path, issue, written, problems);
      }
  }
  return content;
}

/** `raw`: as it is written in the file, without values of variables. */
function reportIssue(
  path: KeyPath,
  issue: v.BaseIssue<unknown>,
  raw: Record<string, unknown>,
  problems: Problems,
): void {
  const missing = issue.type === "object";
  const { accepted, advice } = missing ? explainMissing(path) : explanationOf(issue);
  if (!missing) {
    problems.add(path, { found: show(path, valueAt(raw, path)), accepted, advice });
    return;
  }
  const key = String(path.at(-1));
  problems.add(path, {
    found: `no "${key}" in ${pathText(path.slice(0, -1))}`,
    accepted,
    advice: `add ${key} here: ${advice}`,
  });
}

function explainMissing(path: KeyPath): Explanation {
  const schema = schemaAt(fileSchema, path);
  const [issue] = (schema === undefined ? undefined : v.safeParse(schema, undefined).issues) ?? [];
  if (issue === undefined) throw new Error(`the schema reports a key that may be missing: ${pathText(path)}`);
  return explanationOf(issue);
}

function valueAt(value: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>(
    (current, part) => (current as Record<string | number, unknown> | undefined)?.[part],
    value,
  );
}

/** What stands in other files, or in the environment. */
interface FileParts {
  readonly secret: string;
  readonly vaultKey: VaultKeySource | undefined;
  readonly notify: readonly NotifyTarget[];
  readonly traces: TracesConfig | undefined;
  readonly pages: ReadonlyMap<string, string>;
  readonly tokens: ReadonlyMap<string, string>;
}

function resolveParts(
  { file, filled }: FileSource,
  content: PartialContent,
  { secret, vaultKey, notify, traces, pages, tokens }: FileParts,
  warnings: readonly Problem[],
): Config {
  const services = resolveServices(content.service ?? [], pages, tokens);
  const cluster = resolveCluster(file, content.cluster ?? clusterDefault, filled.has(["cluster", "secret"]));
  return {
    file,
    cluster,
    secret: secret === "" ? undefined : secret,
    gatewayUrl: content.cluster?.gateway,
    services,
    gateway:
      content.gateway === undefined
        ? undefined
        : { ...resolveGateway(file, content.gateway, services, secret, cluster), notify, traces },
    host:
      content.host === undefined
        ? undefined
        : {
            ...resolveHost(file, content.host, secret, cluster),
            vaultKey,
            applicationUser: resolveApplicationUser(file, content, filled.has),
          },
    vault:
      content.vault === undefined ? undefined : resolveVaultServer(file, content.vault, secret, cluster.secretFrom),
    warnings,
  };
}
