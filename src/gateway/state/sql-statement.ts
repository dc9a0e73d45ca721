/**
 * The statements that the SQL endpoint accepts: exactly one, and a reading one.
 *
 * This gives a message with the reason, and refuses a second statement after a semicolon, which would be ignored
 * silently. It does not decide what a statement may do: that is the connection's authorizer
 * (read-only-database.ts), because words can be hidden from any look at the text.
 */

/** Why a statement is refused. */
export interface StatementFault {
  readonly code: "SQLITE_READONLY" | "SQL_MANY_STATEMENTS";
  readonly message: string;
}

/** Returns undefined for one statement that only reads. */
export function faultOfStatement(sql: string): StatementFault | undefined {
  const bare = withoutCommentsAndStrings(sql);
  const [first, isExplained] = firstWord(bare);
  if (!["SELECT", "WITH", "VALUES"].includes(first)) {
    const begin = `${isExplained ? "EXPLAIN of " : ""}${first === "" ? "nothing" : first}`;
    const message = `only SELECT, WITH, VALUES and EXPLAIN of these are accepted here, this begins with ${begin}`;
    return { code: "SQLITE_READONLY", message };
  }
  const semicolon = bare.indexOf(";");
  if (
    semicolon !== -1 &&
    bare
      .slice(semicolon + 1)
      .replaceAll(";", "")
      .trim() !== ""
  )
    return { code: "SQL_MANY_STATEMENTS", message: "only one statement at a time is accepted" };
  return undefined;
}

/** Returns the first word behind EXPLAIN and EXPLAIN QUERY PLAN, in capitals, and whether one of these was there. */
function firstWord(bare: string): [word: string, isExplained: boolean] {
  const [, explain, word = ""] = /^[^a-z]*(explain\s+(?:query\s+plan\s+)?)?([a-z]*)/i.exec(bare) ?? [];
  return [word.toUpperCase(), explain !== undefined];
}

/**
 * Replaces each comment by a space and each string or quoted name by `''`, so that the statement's words can be
 * examined.
 */
function withoutCommentsAndStrings(sql: string): string {
  return sql.replace(
    /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|`(?:[^`]|``)*(?:`|$)|\[[^\]]*(?:\]|$)/g,
    (found) => (found.startsWith("--") || found.startsWith("/*") ? " " : "''"),
  );
}

/**
 * Returns the names of a statement's parameters in the order of their numbers, null for those without a name (`?`,
 * `?3`). Numbers are as in SQLite: `?` and a new name take the next, `?NNN` takes its own
 * (sqlite.org/c3ref/bind_blob.html).
 */
export function parameterNames(sql: string): (string | null)[] {
  const names: (string | null)[] = [];
  const known = new Set<string>();
  for (const [found] of withoutCommentsAndStrings(sql).matchAll(/\?\d*|[:@$][A-Za-z_][A-Za-z0-9_]*/g)) {
    if (found.startsWith("?")) {
      const number = found === "?" ? names.length + 1 : Math.min(Number(found.slice(1)), parametersMax);
      while (names.length < number) names.push(null);
    } else if (!known.has(found)) {
      known.add(found);
      names.push(found);
    }
  }
  return names;
}

/** SQLite's own limit (SQLITE_MAX_VARIABLE_NUMBER). */
const parametersMax = 32_766;
