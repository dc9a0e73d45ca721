/**
 * One dialect for the whole of src (docs/STYLE.md, "Dialect"): rules about syntax trees that neither the types nor the
 * lint know. Each exception stands in a list here, with its reason.
 */
import ts from "typescript";
import type { SourceFile } from "./layers.ts";

/** Tags with an underscore, which others read: each with the document that publishes it. */
export const publishedTags: Readonly<Record<string, string>> = {
  epoch_taken: "docs/CONTROL-API.md",
  primary_alive: "docs/CONTROL-API.md",
  not_ready: "docs/CONTROL-API.md",
  order_expired: "docs/CONTROL-API.md",
  other_log: "docs/CONTROL-API.md",
};

/** Tags of unions are in kebab case; what is published keeps its name, and its document has it. */
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

/** Names that two files of src may export, each with the reason. */
export const sharedNames: Readonly<Record<string, string>> = {};

/** A name that is exported twice means two things, or stands twice. */
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
