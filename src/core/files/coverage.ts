/**
 * What becomes of each entry of a data folder after a failover, by its name and kind: captured as a database, covered
 * as a file, or neither; and whether an entry that is neither looks like state that an application would miss.
 */
import { anyFolders, folderLockName, nameMatcher, ownerOf } from "../database-pattern.ts";
import { fileMatcher } from "./file-pattern.ts";

export interface FoundEntry {
  /** Path below the data folder, in the notation of database names. */
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
  readonly bytes: number;
  /** It begins as a SQLite database does. */
  readonly isDatabase: boolean;
}

export type Coverage =
  /** In `databases`. */
  | { readonly kind: "database" }
  /** SQLite's, beside a database, or the host's own: not data of its own. */
  | { readonly kind: "companion" }
  /** In `files`. */
  | { readonly kind: "file" }
  /** Neither; `looksLike`: state that is missing after a failover, in words. */
  | { readonly kind: "none"; readonly looksLike?: string };

export interface CoverPatterns {
  readonly databases: readonly string[];
  readonly databasesExcept: readonly string[];
  readonly files: readonly string[];
  readonly filesExcept: readonly string[];
}

/** Returns a function that tells the coverage of an entry. */
export function coverageBy(patterns: CoverPatterns): (entry: FoundEntry) => Coverage {
  const { databases, databasesExcept, files, filesExcept } = patterns;
  const isCaptured = nameMatcher(databases, databasesExcept);
  const isExcepted = nameMatcher(databases);
  const names = fileMatcher({ files, except: filesExcept, databases, reserved: [] });
  const leftOut = fileMatcher({ files: filesExcept, except: [], databases, reserved: [] });
  return (entry) => {
    const { name, kind } = entry;
    const owner = ownerOf(name);
    if (name === folderLockName || (owner !== undefined && isExcepted(owner))) return { kind: "companion" };
    if (kind === "file" && isCaptured(name)) return { kind: "database" };
    if (kind === "folder" ? names.coversFolder(name) : kind !== "other" && names.covers(name)) return { kind: "file" };
    // What an operator has excepted is decided.
    const looksLike = isExcepted(name) || leftOut.covers(name) ? undefined : looksLikeState(entry);
    return looksLike === undefined ? { kind: "none" } : { kind: "none", looksLike };
  };
}

/** By their names, in this order. */
const stateLike: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/\.(?:key|pem|p12|pfx|jwk|jwks|gpg|asc|age)$|(?:^|[./_-])(?:id_(?:rsa|ecdsa|ed25519)|private)/i, "a key"],
  [/secret|token|passw|credential|session|cookie|jwt|\.env(?:\.|$)|(?:^|\/)salt/i, "a secret"],
  [/migrat/i, "a record of migrations"],
  [/(?:^|\/)(?:uploads?|media|attachments?|avatars?|images?|photos?|documents?|blobs?|storage|assets)\//i, "an upload"],
  [/\.(?:json|ya?ml|toml|ini|conf|cfg|xml)$/i, "settings or state"],
  [/\.(?:png|jpe?g|gif|webp|svg|heic|pdf|docx?|xlsx?|mp[34]|mov|webm|wav|zip|csv|md|txt|eml)$/i, "content of users"],
];

function looksLikeState({ name, kind, isDatabase }: FoundEntry): string | undefined {
  if (kind !== "file" && kind !== "link") return undefined;
  if (isDatabase) return "a database";
  if (isPassing(name)) return undefined;
  return stateLike.find(([pattern]) => pattern.test(name))?.[1];
}

const transientFolder = /^(?:\.?cache|caches|te?mp|\.?te?mp|logs?|run|lost\+found|node_modules|__pycache__|\.git)$/i;
const transientFile = /\.(?:log|pid|sock|lock|tmp|temp|swp|part|bak|log\.\d+|log\.gz)$|~$/i;

/** Logs, caches and temporary files, by their names. */
export function isPassing(name: string): boolean {
  const parts = name.split("/");
  return parts.slice(0, -1).some((part) => transientFolder.test(part)) || transientFile.test(parts.at(-1) ?? "");
}

/** Patterns that cover the files of a folder that are neither databases nor transient. */
export interface FittingFiles {
  readonly files: readonly string[];
  readonly except: readonly string[];
}

/** A folder becomes `folder/**`; files beside the databases are named one by one, up to this number. */
const namesMax = 20;

/** Returns the patterns for `host.files` that fit these entries, beside these patterns of `host.databases`. */
export function fittingFiles(entries: readonly FoundEntry[], databases: readonly string[]): FittingFiles {
  const coverage = coverageBy({ databases, databasesExcept: [], files: [anyFolders], filesExcept: [] });
  const wanted = entries.filter(
    (entry) =>
      entry.kind !== "folder" &&
      coverage(entry).kind === "file" &&
      !entry.isDatabase &&
      // As a pattern, a name with a wildcard would match others.
      !/[*?]/.test(entry.name),
  );
  const lasting = wanted.filter(({ name }) => !isPassing(name));
  const tops = new Set(lasting.flatMap(({ name }) => (name.includes("/") ? [name.slice(0, name.indexOf("/"))] : [])));
  const besides = lasting.filter(({ name }) => !name.includes("/")).map(({ name }) => name);
  const files = [...besides.slice(0, namesMax), ...[...tops].map((top) => `${top}/${anyFolders}`)].sort();
  const covers = fileMatcher({ files, except: [], databases, reserved: [] });
  const unwanted = new Set<string>();
  for (const { name } of wanted) {
    if (!isPassing(name) || !covers.covers(name)) continue;
    const parts = name.split("/");
    const at = parts.slice(0, -1).findIndex((part) => transientFolder.test(part));
    unwanted.add(at >= 0 ? `${parts.slice(0, at + 1).join("/")}/${anyFolders}` : name);
  }
  return { files, except: [...unwanted].sort().slice(0, namesMax) };
}
