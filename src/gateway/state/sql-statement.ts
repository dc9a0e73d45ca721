/**
 * The statements that the SQL endpoint accepts: exactly one, and a reading one.
 *
 * The connection is read-only anyway; this gives a message with the reason, and refuses what a read-only connection
 * still allows: ATTACH (other files), and a second statement after a semicolon, which would be ignored silently.
 */

/** Why a statement is refused. */
export interface StatementFault {
  readonly code: "SQLITE_READONLY" | "SQL_MANY_STATEMENTS";
  readonly message: string;
}

/** Returns undefined for one statement that only reads. */
export function faultOfStatement(sql: string): StatementFault | undefined {
  const bare = withoutCommentsAndStrings(sql);
  const first = /[a-z]+/i.exec(bare)?.[0]?.toUpperCase() ?? "";
  if (!["SELECT", "WITH", "VALUES", "EXPLAIN"].includes(first)) {
    const message = `only SELECT, WITH, VALUES and EXPLAIN are accepted here, this begins with ${first === "" ? "nothing" : first}`;
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
  for (const [found] of withoutCommentsAndStrings(sql).matchAll(/\?\d*|[:@$][A-Za-z_][A-Za-z0-9_]*/g)) {
    if (found.startsWith("?")) {
      const number = found === "?" ? names.length + 1 : Math.min(Number(found.slice(1)), parametersMax);
      while (names.length < number) names.push(null);
    } else if (!names.includes(found)) names.push(found);
  }
  return names;
}

/** SQLite's own limit (SQLITE_MAX_VARIABLE_NUMBER). */
const parametersMax = 32_766;
