/**
 * Which folder of src may import which, which room of a folder may import which, and no cycles: dependencies point one
 * way, so that a part can be understood, tested and simulated without those above it (docs/ARCHITECTURE.md). A type is
 * a dependency like any other.
 */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";

/** For each folder of src, the folders that it may import besides itself. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  runtime: [],
  // Metrics as a port, which a part below the roles is given; src/core is not.
  metrics: ["runtime"],
  vault: ["core", "runtime"],
  capture: ["core", "runtime", "metrics"],
  http: ["core", "runtime", "metrics"],
  control: ["core", "runtime"],
  config: ["core", "runtime", "http"],
  // The vault in a bucket.
  s3: ["core", "runtime", "vault", "http"],
  // The vault over the network: server and client.
  remote: ["core", "runtime", "vault", "http", "s3"],
  gateway: ["core", "runtime", "metrics", "control", "http", "config"],
  // A gateway in another program.
  embed: ["core", "runtime", "http", "config", "gateway"],
  host: ["core", "runtime", "metrics", "vault", "remote", "capture", "http", "control", "config"],
  // Clusters of real processes, for the demo, benchmarks, chaos and tests: a folder beside src.
  harness: ["core", "runtime", "vault", "s3", "control"],
  demo: ["core", "runtime", "vault", "capture", "http", "control", "config", "gateway", "host", "harness"],
  cli: [
    "core",
    "runtime",
    "vault",
    "remote",
    "s3",
    "capture",
    "http",
    "control",
    "config",
    "gateway",
    "host",
    "demo",
    "harness",
  ],
  // src/main.ts, which only wires, and src/index.ts, which only exports.
  "": ["runtime", "cli", "embed"],
};

/**
 * The rooms of a folder, from the bottom up: each with the rooms that it may import besides itself, all of them named
 * before it. The empty name stands for the files that lie in the folder itself.
 */
export const rooms: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  core: { "": [], files: [""], replication: [], notify: [], host: [""], failover: ["", "host"] },
  runtime: { "": [], tcp: [""] },
  vault: {
    "": [],
    store: [""],
    log: ["", "store"],
    checkpoint: ["", "store", "log"],
    copy: ["", "store", "log", "checkpoint"],
    verify: ["", "store", "log", "checkpoint"],
  },
  http: {
    "": [],
    message: [],
    spool: [],
    upstream: ["", "message", "spool"],
    server: ["", "message", "spool", "upstream"],
    proxy: ["message", "upstream", "server"],
    embed: ["", "message", "upstream", "server"],
  },
  // Clients import contracts, not the servers of these.
  control: { channel: [], tls: ["channel"], "": ["channel"], server: ["", "channel", "tls"] },
  host: {
    ports: [],
    application: ["ports"],
    secondary: ["ports"],
    primary: ["ports", "application", "secondary"],
    machine: ["ports", "secondary"],
    control: ["ports", "secondary", "primary"],
    "": ["ports", "application", "secondary", "primary", "machine", "control"],
  },
  gateway: {
    route: [],
    state: [],
    service: ["route", "state"],
    peers: ["state", "service"],
    notify: ["state"],
    traces: ["state"],
    admin: ["state", "service", "peers", "notify"],
    // What a browser sees: calls of the admin API, given as a function.
    page: [],
    workers: ["route"],
    acme: ["route", "state"],
    "": ["route", "state", "service", "peers", "notify", "traces", "admin", "page", "workers", "acme"],
    upgrade: ["", "workers"],
  },
  cli: {
    output: [],
    explanations: ["output"],
    doctor: ["output"],
    commands: ["output", "explanations", "doctor"],
    "": ["output", "commands"],
  },
};

/** A file, relative to the repository's top, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

interface Import {
  readonly from: string;
  /** Relative to the repository's top, or a package's name. */
  readonly to: string;
  readonly relative: boolean;
  /** Erased by the compiler; a dependency all the same. */
  readonly typeOnly: boolean;
  readonly line: number;
}

export const readSources = (root: string, paths: readonly string[]): SourceFile[] =>
  paths.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

/** One line for each violation, with file and line; none when all is well. */
export function layerViolations(files: readonly SourceFile[]): string[] {
  const program = files.filter((file) => isProgram(file.path));
  const imports = program.flatMap(importsOf);
  return [
    ...program.flatMap(({ path }) => unknownRoom(path)),
    ...imports.flatMap((edge) => violationOf(edge)),
    ...cycles(imports),
  ];
}

const isProgram = (path: string): boolean => path.startsWith("src/") || path.startsWith("harness/");

function unknownRoom(path: string): string[] {
  const layer = layerOf(path);
  if (layers[layer] === undefined)
    return [`${path}:1: src/${layer} is no known layer; add it to scripts/lib/layers.ts`];
  const known = rooms[layer];
  return known === undefined || known[roomOf(path)] !== undefined
    ? []
    : [`${path}:1: src/${layer}/${roomOf(path)} is no known room; add it to scripts/lib/layers.ts`];
}

function violationOf({ from, to, relative, line }: Import): string[] {
  const layer = layerOf(from);
  const allowed = layers[layer] ?? [];
  if (!relative)
    return layer === "core" ? [`${from}:${line}: src/core imports ${to}; it imports nothing but src/core`] : [];
  if (!isProgram(to)) {
    const outside = /^(?:migrations|examples)\/|^package\.json$/.test(to);
    return outside ? [] : [`${from}:${line}: src imports ${to}, which is not part of the program`];
  }
  const target = layerOf(to);
  if (target === layer) return wrongRoom(from, to, line);
  if (allowed.includes(target)) return [];
  return [
    `${from}:${line}: ${folderOf(layer)} imports ${to}; it may import only ${[layer, ...allowed].map(folderOf).join(", ")}`,
  ];
}

function wrongRoom(from: string, to: string, line: number): string[] {
  const layer = layerOf(from);
  const known = rooms[layer];
  const room = roomOf(from);
  const target = roomOf(to);
  if (known === undefined || target === room || known[room]?.includes(target) === true) return [];
  const accepted = [room, ...(known[room] ?? [])]
    .map((name) => (name === "" ? `the files of src/${layer} itself` : `src/${layer}/${name}`))
    .join(", ");
  return [
    `${from}:${line}: ${room === "" ? `a file of src/${layer} itself` : `src/${layer}/${room}`} imports ${to}; it may import only ${accepted}`,
  ];
}

/** `src/vault/log.ts` is `vault`, `src/main.ts` is the empty name. */
const layerOf = (path: string): string =>
  path.startsWith("harness/") ? "harness" : (path.split("/").slice(1, -1)[0] ?? "");
const folderOf = (layer: string): string => (layer === "harness" ? layer : `src/${layer}`);

/** `src/http/server/server.ts` is in `server`, `src/http/limits.ts` in the folder itself. */
const roomOf = (path: string): string => path.split("/").slice(2, -1)[0] ?? "";

function importsOf(file: SourceFile): Import[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const note = (specifier: ts.Node, typeOnly: boolean): void => {
    if (!ts.isStringLiteralLike(specifier)) return;
    const relative = specifier.text.startsWith(".");
    const to = relative ? normalize(join(dirname(file.path), specifier.text)) : specifier.text;
    found.push({
      from: file.path,
      to,
      relative,
      typeOnly,
      line: source.getLineAndCharacterOfPosition(specifier.getStart()).line + 1,
    });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) note(node.moduleSpecifier, isTypeOnly(node));
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined)
      note(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) note(node.argument.literal, true);
    else if (ts.isCallExpression(node) && isDynamicImport(node) && node.arguments[0] !== undefined)
      note(node.arguments[0], false);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const isDynamicImport = (node: ts.CallExpression): boolean =>
  node.expression.kind === ts.SyntaxKind.ImportKeyword ||
  (ts.isIdentifier(node.expression) && node.expression.text === "require");

function isTypeOnly(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  return (
    clause.name === undefined &&
    named !== undefined &&
    ts.isNamedImports(named) &&
    named.elements.length > 0 &&
    named.elements.every((element) => element.isTypeOnly)
  );
}

/**
 * The types of a captured database and of its examiners refer to each other there; everywhere else a cycle of types
 * alone is a violation too.
 */
const ownTypes = "src/capture/";

/** Each cycle once, from its first file in the order of the alphabet. */
function cycles(imports: readonly Import[]): string[] {
  const graph = new Map<string, string[]>();
  for (const { from, to, relative, typeOnly } of imports) {
    if (relative && !(typeOnly && from.startsWith(ownTypes))) graph.set(from, [...(graph.get(from) ?? []), to]);
  }
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start !== -1) {
      const cycle = path.slice(start);
      const first = cycle.indexOf(cycle.toSorted()[0] ?? "");
      const ordered = [...cycle.slice(first), ...cycle.slice(0, first)];
      found.add(`${ordered[0] ?? ""}:1: import cycle: ${[...ordered, ordered[0]].join(" -> ")}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of [...graph.keys()].toSorted()) visit(file, []);
  return [...found];
}
