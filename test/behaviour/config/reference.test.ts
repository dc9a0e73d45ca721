import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type * as v from "valibot";
import { gatewayLimits, hostLimits } from "../../../src/config/limits.ts";
import { fileSchema } from "../../../src/config/schema.ts";
import { keyPaths, schemaAt } from "../../../src/config/walk.ts";

/** The rows of the manual's tables: key, default, meaning. */
const manual = readFileSync(join(import.meta.dirname, "../../../docs/OPERATIONS.md"), "utf8");
const rows = [
  ...manual.matchAll(/^\| `((?:cluster|gateway|service|host|vault|notify)\.[a-z0-9_.]+)` \|(?: (.*?))? \| (.+) \|$/gm),
].map(([, key = "", fallback = "", meaning = ""]) => ({ key, fallback, meaning }));

test("the manual has every key of the schema once, and no other", () => {
  expect(rows.map((row) => row.key).toSorted()).toEqual(keyPaths(fileSchema).toSorted());
});

test("the manual names the default that holds", () => {
  let compared = 0;
  for (const { key, fallback } of rows) {
    const path = key
      .split(".")
      .flatMap((part, index, parts) =>
        (part === "service" || part === "notify") && index === 0
          ? [part, 0]
          : part === "host" && parts[index - 1] === "service"
            ? ["host", 0]
            : part === "first_byte" && parts[index - 1] === "service"
              ? ["first_byte", 0]
              : part === "certificate" || part === "vault_copy" || part === "listener"
                ? [part, 0]
                : [part],
      );
    const schema = schemaAt(fileSchema, path);
    if (schema === undefined) throw new Error(`the schema has no ${key}`);
    const isOptional = schema.type === "optional";
    expect({ key, required: fallback === "required" }).toEqual({ key, required: !isOptional });
    const value = isOptional ? (schema as v.OptionalSchema<v.GenericSchema, unknown>).default : undefined;
    if (value === undefined || typeof value === "object") continue;
    compared++;
    const written =
      typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "?";
    expect({ key, fallback }).toEqual({ key, fallback: `\`${written}\`` });
  }
  expect(compared).toBeGreaterThan(30);
});

test("what the manual says of a limit is what the table of limits says", () => {
  const said = rows
    .filter(({ key }) => /^(?:gateway|host)\.limits\./.test(key))
    .map(({ key, meaning }) => [key, meaning]);
  const table = [
    ...gatewayLimits.map(({ key, doc }) => [`gateway.limits.${key}`, doc]),
    ...hostLimits.map(({ key, doc }) => [`host.limits.${key}`, doc]),
  ];
  expect(said).toEqual(table);
});
