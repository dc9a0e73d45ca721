/**
 * One dialect for the whole of src (docs/STYLE.md, "Dialect"): rules about syntax trees that neither the types nor the
 * lint know. Each exception stands in a list here, with its reason.
 */
import ts from "typescript";
import type { SourceFile } from "./layers.ts";

/** Published tags with an underscore, each with the document that publishes it. */
export const publishedTags: Readonly<Record<string, string>> = {
  epoch_taken: "docs/CONTROL-API.md",
  primary_alive: "docs/CONTROL-API.md",
  not_ready: "docs/CONTROL-API.md",
  order_expired: "docs/CONTROL-API.md",
  other_log: "docs/CONTROL-API.md",
};

/** Finds tags of unions that are not in kebab case; a published tag keeps its name, and its document has it. */
export function snakeTags(files: readonly SourceFile[], documents: Readonly<Record<string, string>>): string[] {
  const unpublished = Object.entries(publishedTags)
    .filter(([tag, document]) => !(documents[document] ?? "").includes(`\`${tag}\``))
    .map(
      ([tag, document]) => `${document} does not publish the tag ${tag}: it is no exception (scripts/lib/dialect.ts)`,
    );
  const found = files.flatMap((file) =>
    nodesOf(file, (node) =>
      ts.isStringLiteralLike(node) && /^[a-z0-9]+(?:_[a-z0-9]+)+$/.test(node.text) && isTag(node)
        ? Object.hasOwn(publishedTags, node.text)
          ? undefined
          : `"${node.text}" is a tag: write "${node.text.replaceAll("_", "-")}", or publish it`
        : undefined,
    ),
  );
  return [...unpublished, ...found];
}

/** Where the tag of a union stands: as a value or type of `kind`, in a schema of it, or compared with it. */
function isTag(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isCaseClause(parent)) return isKind(parent.parent.parent.expression);
  if (ts.isBinaryExpression(parent)) return isKind(parent.left === node ? parent.right : parent.left);
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) return parent.name.getText() === "kind";
  if (ts.isConditionalExpression(parent) || ts.isUnionTypeNode(parent) || ts.isLiteralTypeNode(parent))
    return isTag(parent);
  return ts.isCallExpression(parent) && /\b(?:literal|picklist)$/.test(parent.expression.getText()) && isTag(parent);
}

const isKind = (expression: ts.Node): boolean => /(?:^|\.)kind$/.test(expression.getText());

/**
 * Places where a value or a type of our own may be null: paths that begin so. Everywhere else an absent value is
 * undefined. Comparisons with null are allowed, since the platform returns it.
 */
export const nullPlaces: Readonly<Record<string, string>> = {
  "src/gateway/acme/certificate-orders.ts": "rows of SQL",
  "src/gateway/page/": "answers of the API as they are; null as an element of JSX renders nothing",
  "src/embed/client-of.ts": "Bun's server has no address of a request whose connection is gone",
  "src/control/": "schemas of the APIs, and what turns null and undefined into each other",
  "src/gateway/admin/": "answers of the administration API, and Hrana",
  "src/gateway/configuration-state.ts": "a part of the administration API's answers",
  "src/gateway/control-plane.ts": "rows of SQL",
  "src/gateway/service/timed-orders.ts": "columns of a row of SQL",
  "src/gateway/service/recorder.ts": "rows of SQL",
  "src/gateway/notify/": "rows of SQL, and the body of a webhook",
  "src/gateway/service/plain-host.ts": "the status of a host, which it makes",
  "src/gateway/service/orders.ts": "an order to a host",
  "src/gateway/state/": "rows of SQL, and what queries answer",
  "src/gateway/peers/message.ts": "what peers say to each other",
  "src/gateway/peers/views.ts": "what peers say to each other",
  "src/gateway/peers/wire.ts": "what peers say to each other",
  "src/core/replication/row.ts": "the value of a column",
  "src/host/self-report.ts": "the status of a host",
  "src/host/rehearsals.ts": "the answer of a rehearsal",
  "src/host/restore-tests.ts": "the result of a restore test, in the status of a host",
  "src/host/vault-copy.ts": "how far a copy of the vault is, in the status of a host",
  "src/vault/copy/copy-place.ts": "JSON.stringify takes it",
  "src/host/application/supervisor.ts": "the application's part of a status",
  "src/host/control/database-desk.ts": "an answer of the control API",
  "src/host/secondary/local-data.ts": "a JSON file",
  "src/host/secondary/set-aside-folders.ts": "a JSON file",
  "src/host/primary/rewind-plan.ts": "an answer of the control API",
  "src/host/secondary/point-in-time.ts": "what stead vault restore --json prints",
  "src/vault/checkpoint/checkpoint": "the manifest of a checkpoint",
  "src/vault/store/identity.ts": "JSON.stringify takes it",
  "src/vault/store/exclusions.ts": "JSON.stringify takes it",
  "src/vault/store/keyring.ts": "JSON.stringify takes it",
  "src/config/settings.ts": "what stead config diff --json prints",
  "src/cli/commands/": "bodies of requests, and what --json prints",
  "src/demo/": "what stead demo --json prints",
  "src/runtime/log.ts": "a field of a line in the log",
  "src/runtime/tcp/": "the platform's own: streams",
  "src/http/server/server-tls.ts": "the platform's own: callbacks of TLS",
  "src/http/embed/": "the platform's own: Response and Headers",
  "src/host/secondary/integrity-check.ts": "the platform's own: how a process ended",
  "src/host/application/orphans.ts": "the platform's own: a pointer of C",
  "src/gateway/route/access-log-file.ts": "the platform's own: a position of fs.write",
};

/** Finds values and types that are null: an absent value is undefined; null is for JSON schemas and rows of SQL. */
export function nulls(files: readonly SourceFile[]): string[] {
  const places = Object.keys(nullPlaces);
  const used = new Set<string>();
  const found = files.flatMap((file) => {
    const place = places.find((each) => file.path.startsWith(each));
    const here = nodesOf(file, (node) =>
      node.kind === ts.SyntaxKind.NullKeyword && !isComparison(node.parent)
        ? "null: what is absent is undefined here; JSON and SQL are named in scripts/lib/dialect.ts"
        : undefined,
    );
    if (place === undefined) return here;
    if (here.length > 0) used.add(place);
    return [];
  });
  const idle = places.filter((place) => !used.has(place));
  return [...found, ...idle.map((place) => `${place} has no null any more: take it out of scripts/lib/dialect.ts`)];
}

const isComparison = (node: ts.Node): boolean =>
  ts.isBinaryExpression(node) &&
  [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken].includes(node.operatorToken.kind);

/** Names that two files of src may export, each with the reason. */
export const sharedNames: Readonly<Record<string, string>> = {};

/** Finds names that are exported twice: such a name means two things, or one thing is defined twice. */
export function sharedExports(files: readonly SourceFile[]): string[] {
  const places = new Map<string, Set<string>>();
  for (const file of files)
    for (const name of exportedNames(parse(file))) places.set(name, (places.get(name) ?? new Set()).add(file.path));
  return [...places]
    .filter(([name, paths]) => paths.size > 1 && !Object.hasOwn(sharedNames, name))
    .map(([name, paths]) => `${name} is exported by ${[...paths].join(" and ")}: one name for one thing`);
}

function exportedNames(tree: ts.SourceFile): string[] {
  return tree.statements.flatMap((statement) => {
    if (!ts.canHaveModifiers(statement)) return [];
    if (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) !== true) return [];
    if (ts.isVariableStatement(statement))
      return statement.declarationList.declarations.map(({ name }) => name.getText(tree));
    const { name } = statement as ts.Statement & { readonly name?: ts.Identifier };
    return name === undefined ? [] : [name.text];
  });
}

/**
 * Functions whose names begin with another verb for ending than close, abort, drain and kill: the name and where paths
 * begin, each with what it means there.
 */
export const endings: Readonly<Record<string, string>> = {
  "stop src/host/": "asks the application to end, and kills its group after the configured time",
  "stop src/gateway/workers/worker-process.ts": "asks a process to end, and kills it after a limit",
  "stop src/gateway/upgrade/": "asks a process to end, and waits for it",
  "stop src/gateway/gateway-process.ts": "what the process does when it is asked to end",
  "end src/runtime/tcp/": "Node's word: half-closes a socket",
  "destroy src/runtime/tcp/": "Node's word: closes a socket; waiting bytes are lost",
  "_destroy src/runtime/tcp/memory-socket.ts": "Node's word: overrides Duplex",
  "end src/http/upstream/": "Node's word: the last part of a message or of a direction, after which nothing follows",
  "endTunnel src/http/": "half-closes: our direction of the tunnel",
  "drop src/core/delta.ts": "discards staged bytes, which are not put",
  "drop src/capture/": "discards staged bytes, which are not put",
  "dropOther src/capture/read-ahead.ts": "discards staged bytes, which are not put",
  "drop src/vault/store/fs-temporaries.ts": "removes a temporary file",
  "dropWritten src/vault/store/fs-temporaries.ts": "removes a temporary file",
  "dropAliases src/capture/name-choice.ts": "removes names from a list",
  "dropOldest src/gateway/state/store.ts": "discards a queued row",
  "dropKept src/http/server/server-exchange.ts": "discards the kept bytes of a request body",
  "drop src/http/message/headers.ts": "a predicate: fields that a copy is without",
  "leaveOut src/capture/newcomers.ts": "does not capture a file, and says so",
  "retire src/capture/": "a database whose file is deleted is a retired one (retired-databases.ts)",
};

const endingVerb =
  /^[#_]?(?:end|stop|finish|abandon|destroy|cut|leave|drop|retire|conclude|shut|giveUp|terminate|dispose|quit|halt|cease)(?![a-z])/;

/** Finds functions and methods that end something under another verb (docs/STYLE.md, "Dialect"). */
export function endingVerbs(files: readonly SourceFile[]): string[] {
  const exceptions = Object.keys(endings);
  const used = new Set<string>();
  const found = files.flatMap((file) =>
    nodesOf(file, (node) => {
      const name = functionName(node);
      if (name === undefined || !endingVerb.test(name)) return undefined;
      const exception = exceptions.find((each) => `${name.replace("#", "")} ${file.path}`.startsWith(each));
      if (exception === undefined)
        return `${name}: end it with close, abort, drain or kill, or say in scripts/lib/dialect.ts what else it means`;
      used.add(exception);
      return undefined;
    }),
  );
  const idle = exceptions.filter((exception) => !used.has(exception));
  return [
    ...found,
    ...idle.map((exception) => `${exception}: is no name any more: take it out of scripts/lib/dialect.ts`),
  ];
}

/** Name of a function or method, or of a value, a member or a parameter that is one. */
function functionName(node: ts.Node): string | undefined {
  if (ts.isMethodDeclaration(node) || ts.isFunctionDeclaration(node) || ts.isMethodSignature(node))
    return node.name?.getText();
  if (ts.isPropertySignature(node) || ts.isParameter(node) || ts.isPropertyDeclaration(node)) {
    if (node.type !== undefined && ts.isFunctionTypeNode(node.type)) return node.name.getText();
    if (!ts.isPropertyDeclaration(node)) return undefined;
  }
  if (!ts.isPropertyDeclaration(node) && !ts.isVariableDeclaration(node) && !ts.isPropertyAssignment(node))
    return undefined;
  const { initializer } = node;
  return initializer !== undefined && (ts.isArrowFunction(initializer) || ts.isFunctionExpression(initializer))
    ? node.name.getText()
    : undefined;
}

/**
 * Other words for news than those of docs/GLOSSARY.md, "News for operators": the word and where paths begin, each with
 * what it means there.
 */
export const otherNews: Readonly<Record<string, string>> = {
  "trouble src/control/gateway-api.ts": "key of the administration API: a warning",
  "trouble src/gateway/gateway.ts": "key of the administration API: a warning",
  "trouble src/gateway/peers/": "key of the administration API: a warning",
  "trouble src/gateway/admin/metrics.ts": "key of the administration API, and a metric: warnings",
  "trouble src/gateway/page/": "key of the administration API: a warning",
  "trouble src/gateway/workers/": "key of a worker's report, which workers of another version send: warnings",
  "trouble src/cli/": "key of the administration API: a warning",
  "trouble src/metrics/gateway-metrics.ts": "name of a metric: the number of warnings",
  "note src/control/gateway-api.ts": "key of the administration API: a warning about a host",
  "note src/gateway/page/": "key of the administration API: a warning about a host",
  "note src/gateway/admin/cluster-status.ts": "key of the administration API: a warning about a host",
  "note src/cli/commands/status.ts": "key of the administration API: a warning about a host",
  "note src/cli/commands/secret-survey.ts": "key of the administration API: a warning about a host",
  "note src/cli/doctor/cluster-survey.ts": "key of the administration API: a warning about a host",
  "note src/capture/": "keeps in memory what a look found; no news",
  "notice src/vault/verify/": "severity of a finding, as stead vault verify prints it",
};

const newsWord = /^(trouble|note|notice|remark|complaint|alert)s?$/i;

/** Finds names that use another word for a kind of news (docs/STYLE.md, "Dialect"). */
export function newsWords(files: readonly SourceFile[]): string[] {
  const exceptions = Object.keys(otherNews);
  const used = new Set<string>();
  const found = files.flatMap((file) =>
    nodesOf(file, (node) => {
      if (!ts.isIdentifier(node) && !ts.isPrivateIdentifier(node)) return undefined;
      const parts = node.text.replace("#", "").split(/_|(?=[A-Z])/);
      const word = parts.flatMap((part) => newsWord.exec(part)?.[1]?.toLowerCase() ?? []).at(0);
      if (word === undefined) return undefined;
      const exception = exceptions.find((each) => `${word} ${file.path}`.startsWith(each));
      if (exception === undefined)
        return `${node.text}: call it by its kind in docs/GLOSSARY.md, "News for operators", or say in scripts/lib/dialect.ts what else it means`;
      used.add(exception);
      return undefined;
    }),
  );
  const idle = exceptions.filter((exception) => !used.has(exception));
  return [
    ...found,
    ...idle.map((exception) => `${exception}: is no name any more: take it out of scripts/lib/dialect.ts`),
  ];
}

const trees = new Map<string, ts.SourceFile>();

/** Parsed once, for all rules. */
function parse({ path, text }: SourceFile): ts.SourceFile {
  const known = trees.get(path);
  if (known?.text === text) return known;
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  trees.set(path, tree);
  return tree;
}

/** What `judge` says of the nodes of a file, each with its place. */
function nodesOf(file: SourceFile, judge: (node: ts.Node, tree: ts.SourceFile) => string | undefined): string[] {
  const tree = parse(file);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const said = judge(node, tree);
    if (said !== undefined)
      found.push(`${file.path}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}: ${said}`);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}
