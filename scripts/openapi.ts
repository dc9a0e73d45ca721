#!/usr/bin/env bun
/**
 * Writes docs/openapi/*.json (OpenAPI 3.1) from the schemas of the contract and the tables beside
 * scripts/lib/openapi-document.ts. A test fails when the files differ from the output of this script, and when their
 * calls are not the routes of the applications.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commentsOf, openApiDocument } from "./lib/openapi-document.ts";
import { gatewayApiTable } from "./lib/openapi-gateway.ts";
import { hostApi } from "./lib/openapi-host.ts";

const root = join(import.meta.dirname, "..");
export const openApiFolder = join(root, "docs/openapi");

/** The documents by the names of their files. */
export function openApiDocuments() {
  const comments = (...files: readonly string[]): Record<string, string> =>
    Object.assign(
      {},
      ...files.map((file) => commentsOf(file, readFileSync(join(root, "src/control", file), "utf8"))),
    ) as Record<string, string>;
  return {
    "host.json": openApiDocument(
      hostApi(comments("host-status.ts", "host-api.ts", "databases.ts", "refused.ts", "rewind-api.ts")),
    ),
    "gateway.json": openApiDocument(
      gatewayApiTable(
        comments(
          "config-api.ts",
          "drill-api.ts",
          "failover-api.ts",
          "gateway-api.ts",
          "notify-api.ts",
          "refused.ts",
          "rewind-api.ts",
        ),
      ),
    ),
  };
}

/** As it stands in the file. */
export const openApiText = (document: object): string => `${JSON.stringify(document, null, 2)}\n`;

if (import.meta.main) {
  mkdirSync(openApiFolder, { recursive: true });
  for (const [name, document] of Object.entries(openApiDocuments()))
    writeFileSync(join(openApiFolder, name), openApiText(document));
}
