/**
 * `stead version`: the versions of the program and of its main parts. It opens both SQLite libraries, and so also
 * checks the installation.
 */
import { buildCommand } from "@stricli/core";
import { versionText } from "../../runtime/program-version.ts";
import type { CliContext } from "../output/context.ts";

interface Versions {
  readonly stead: string;
  readonly runtime: string;
  readonly platform: string;
  /** Version of the library that captures and applies pages. */
  readonly sqlite: string;
  /** Version of the library for the gateway's state. */
  readonly libsql: string;
}

async function collectVersions(): Promise<Versions> {
  const [{ DatabaseSync }, { createClient }] = await Promise.all([import("node:sqlite"), import("@libsql/client")]);
  const database = new DatabaseSync(":memory:");
  const client = createClient({ url: ":memory:" });
  try {
    const query = "select sqlite_version() as version";
    const libsql = await client.execute(query);
    // Bun and Deno name a version of Node too.
    const runtime = (["bun", "deno", "node"] as const).find((name) => process.versions[name] !== undefined) ?? "node";
    return {
      stead: versionText(),
      runtime: `${runtime} ${process.versions[runtime]}`,
      platform: `${process.platform} ${process.arch}`,
      sqlite: textOf(database.prepare(query).get()?.["version"]),
      libsql: textOf(libsql.rows[0]?.["version"]),
    };
  } finally {
    database.close();
    client.close();
  }
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "unknown");

export const versionCommand = buildCommand<{ readonly json: boolean }, [], CliContext>({
  docs: {
    brief: "Print the versions of stead, the runtime and both SQLite libraries",
    fullDescription:
      "Opens both SQLite libraries, and so also checks the installation.\n\nEXAMPLES\n  stead version\n  stead version --json",
  },
  parameters: {
    flags: { json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object" } },
  },
  async func(flags) {
    const versions = await collectVersions();
    const lines = Object.entries(versions).map(([name, version]) => `${name.padEnd(9)} ${String(version)}`);
    this.process.stdout.write(`${flags.json ? JSON.stringify(versions) : lines.join("\n")}\n`);
  },
});
