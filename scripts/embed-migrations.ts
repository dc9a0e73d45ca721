#!/usr/bin/env bun
/**
 * Writes src/gateway/state/migrations.ts from migrations/*.sql, so that the build needs no files beside it, in any
 * runtime. `--check` changes nothing and fails when the file is not what it would write.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL("../migrations/", import.meta.url);
const target = new URL("../src/gateway/state/migrations.ts", import.meta.url);

export function embeddedMigrations(): string {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  const entries = names.map((name) => {
    const sql = readFileSync(new URL(name, folder), "utf8");
    return `  { name: ${JSON.stringify(name.replace(/\.sql$/, ""))}, sql: ${JSON.stringify(sql)} },`;
  });
  return [
    "/** Written by scripts/embed-migrations.ts from migrations/*.sql: change those, and run it. */",
    "export interface Migration {",
    "  readonly name: string;",
    "  readonly sql: string;",
    "}",
    "",
    "export const migrations: readonly Migration[] = [",
    ...entries,
    "];",
    "",
  ].join("\n");
}

if (import.meta.main) {
  const wanted = embeddedMigrations();
  if (!process.argv.includes("--check")) writeFileSync(target, wanted);
  else if (readFileSync(target, "utf8") !== wanted) {
    console.error("src/gateway/state/migrations.ts is not up to date: run `bun scripts/embed-migrations.ts`");
    process.exit(1);
  }
}
