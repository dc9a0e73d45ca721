/**
 * Brings a database to the current schema: every migration once, in order, each in one transaction with its own mark.
 *
 * A database with a migration that this build does not know was written by a newer build. It is refused, because this
 * build's writes could be wrong there.
 */
import type { Client } from "@libsql/client";
import { OperatorError } from "../../runtime/operator-error.ts";
import { migrations, type Migration } from "./migrations.ts";

export class NewerDatabaseError extends OperatorError {
  constructor(unknown: readonly string[]) {
    super("resource", {
      found: `the database was written by a newer version of stead (it has ${unknown.join(", ")})`,
      advice: "start that newer version, or name another database in the configuration",
    });
  }
}

export async function migrate(client: Client, all: readonly Migration[] = migrations): Promise<void> {
  await client.execute(
    "CREATE TABLE IF NOT EXISTS t_migrations (name text PRIMARY KEY NOT NULL, applied_at_ms integer NOT NULL)",
  );
  const rows = await client.execute("SELECT name FROM t_migrations");
  const applied = new Set(rows.rows.map((row) => row[0] as string));
  const known = new Set(all.map(({ name }) => name));
  const unknown = [...applied].filter((name) => !known.has(name));
  if (unknown.length > 0) throw new NewerDatabaseError(unknown);
  for (const { name, sql } of all) {
    if (applied.has(name)) continue;
    const statements = sql
      .split("--> statement-breakpoint")
      .map((text) => text.trim())
      .filter((text) => text !== "");
    const mark = { sql: "INSERT INTO t_migrations (name, applied_at_ms) VALUES (?, unixepoch() * 1000)", args: [name] };
    await client.batch([...statements, mark], "write");
  }
}
