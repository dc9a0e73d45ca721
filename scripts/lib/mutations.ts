/**
 * Mutations of a source file: small changes, each of which breaks what a test should notice. They are found by syntax
 * alone, so a mutation may have no effect (an equivalent mutant), which a person must judge.
 */
import ts from "typescript";

export type MutationKind =
  /** A condition is turned into its opposite. */
  | "condition"
  /** `<` and `<=`, `>` and `>=` change places; `&&` and `||` too. */
  | "boundary"
  /** A number is one more. */
  | "off-by-one"
  /** The result is not waited for. */
  | "dropped-await"
  /** A statement that is a call is left out. */
  | "dropped-call"
  /** Two statements that follow each other change places. */
  | "order"
  /** A `return` in the middle, without a value, is left out. */
  | "dropped-return";

export interface Mutation {
  readonly kind: MutationKind;
  /** From 1. */
  readonly line: number;
  /** UTF-16 positions in the text. */
  readonly start: number;
  readonly end: number;
  readonly before: string;
  readonly after: string;
}

const boundaries = new Map<ts.SyntaxKind, string>([
  [ts.SyntaxKind.LessThanToken, "<="],
  [ts.SyntaxKind.LessThanEqualsToken, "<"],
  [ts.SyntaxKind.GreaterThanToken, ">="],
  [ts.SyntaxKind.GreaterThanEqualsToken, ">"],
  [ts.SyntaxKind.AmpersandAmpersandToken, "||"],
  [ts.SyntaxKind.BarBarToken, "&&"],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, "!=="],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, "==="],
]);

/** Returns all mutations, in the order of the text. */
export function mutationsOf(text: string): Mutation[] {
  const source = ts.createSourceFile("mutated.ts", text, ts.ScriptTarget.Latest, true);
  const found: Mutation[] = [];
  const add = (kind: MutationKind, from: ts.Node, after: string, to: ts.Node = from): void => {
    const [start, end] = [from.getStart(source), to.getEnd()];
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    found.push({ kind, line, start, end, before: text.slice(start, end), after });
  };
  const visit = (node: ts.Node): void => {
    // Nothing of a type is executed.
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    const condition = conditionOf(node);
    if (condition !== undefined) add("condition", condition, `!(${condition.getText(source)})`);
    if (ts.isBinaryExpression(node)) {
      const after = boundaries.get(node.operatorToken.kind);
      if (after !== undefined) add("boundary", node.operatorToken, after);
    }
    if (ts.isNumericLiteral(node) && !ts.isEnumMember(node.parent) && isCounted(node))
      add("off-by-one", node, `(${node.getText(source)} + 1)`);
    if (ts.isAwaitExpression(node)) add("dropped-await", node, node.expression.getText(source));
    if (isCallStatement(node)) add("dropped-call", node, ";");
    if (ts.isReturnStatement(node) && node.expression === undefined) add("dropped-return", node, ";");
    if (ts.isBlock(node) || ts.isSourceFile(node)) addOrders(node.statements);
    ts.forEachChild(node, visit);
  };
  const addOrders = (statements: readonly ts.Statement[]): void => {
    for (const [at, first] of statements.entries()) {
      const second = statements[at + 1];
      if (second === undefined || !isEffect(first) || !isEffect(second)) continue;
      // Two assignments in a row hardly ever depend on each other.
      if (!isCallStatement(first) && !isCallStatement(second)) continue;
      add("order", first, `${second.getText(source)} ${first.getText(source)}`, second);
    }
  };
  visit(source);
  return found.sort((a, b) => a.start - b.start || a.end - b.end);
}

/** Returns the text with the mutation in it. */
export const mutated = (text: string, { start, end, after }: Mutation): string =>
  text.slice(0, start) + after + text.slice(end);

function conditionOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node) || ts.isDoStatement(node)) return node.expression;
  if (ts.isConditionalExpression(node)) return node.condition;
  return ts.isForStatement(node) ? node.condition : undefined;
}

/** Part of a calculation or an argument. A constant of the file is a setting, of which a test knows the name alone. */
function isCounted(node: ts.NumericLiteral): boolean {
  if (!ts.isBinaryExpression(node.parent) && !ts.isCallExpression(node.parent)) return false;
  let at: ts.Node = node.parent;
  while (ts.isBinaryExpression(at) || ts.isPropertyAssignment(at) || ts.isObjectLiteralExpression(at)) at = at.parent;
  return !(ts.isVariableDeclaration(at) && ts.isSourceFile(at.parent.parent.parent));
}

/** A call, or the wait for one, whose result is not used. */
function isCallStatement(node: ts.Node): node is ts.ExpressionStatement {
  if (!ts.isExpressionStatement(node)) return false;
  const { expression } = node;
  const inner =
    ts.isAwaitExpression(expression) || ts.isVoidExpression(expression) ? expression.expression : expression;
  return ts.isCallExpression(inner) && inner.expression.kind !== ts.SyntaxKind.SuperKeyword;
}

/** An assignment or a call. */
const isEffect = (statement: ts.Statement): boolean =>
  isCallStatement(statement) || (ts.isExpressionStatement(statement) && ts.isBinaryExpression(statement.expression));
