import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { configJsonSchema, configJsonSchemaText, type JsonSchema } from "../../src/config/json-schema.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { parseDuration, parseSize } from "../../src/config/units.ts";
import { keyPaths } from "../../src/config/walk.ts";

type Table = { readonly properties?: Record<string, Table>; readonly items?: Table } & JsonSchema;

/** Every key without a table of known keys below it. */
function pathsOf({ properties, items }: Table, prefix = ""): string[] {
  return Object.entries(properties ?? items?.properties ?? {}).flatMap(([name, entry]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const below = pathsOf(entry, path);
    return below.length > 0 ? below : [path];
  });
}

const at = (...path: readonly string[]): Table =>
  path.reduce<Table>((table, name) => {
    const found = (table.properties ?? table.items?.properties ?? {})[name];
    if (found === undefined) throw new Error(`no ${name}`);
    return found;
  }, configJsonSchema() as Table);

test("docs/stead.schema.json is the present schema (`bun run schema` writes it)", () => {
  expect(readFileSync(join(import.meta.dirname, "../../docs/stead.schema.json"), "utf8")).toBe(configJsonSchemaText());
});

test("it has every key of a file, no other, and says of each what is accepted", () => {
  const paths = pathsOf(configJsonSchema());
  expect(paths).toEqual(keyPaths(fileSchema));
  for (const path of paths) expect([path, at(...path.split("."))["description"]]).toEqual([path, expect.any(String)]);
});

test("bounds, choices, defaults and required keys are in it, and unknown keys are not accepted", () => {
  expect(at("gateway", "probe", "fall")).toMatchObject({ type: "integer", minimum: 1, maximum: 100, default: 2 });
  expect(at("host", "durability")).toMatchObject({
    anyOf: [{ enum: ["strict", "async"] }, { type: "string" }],
    default: "strict",
  });
  expect(at("gateway")).toMatchObject({ required: ["id", "listen", "database"], additionalProperties: false });
  expect(at("gateway", "workers")["anyOf"]).toMatchObject([{ const: "auto" }, { type: "integer" }]);
});

test("a variable is accepted where a string is: in place of a choice, and in a text with a pattern", () => {
  const [, variable] = at("host", "durability")["anyOf"] as readonly JsonSchema[];
  for (const pattern of [variable?.["pattern"], at("gateway", "hold", "time")["pattern"]]) {
    const accepts = new RegExp(String(pattern));
    expect(["${HOLD}", "${N}s", "HOLD", "$HOLD"].map((text) => accepts.test(text))).toEqual([true, true, false, false]);
  }
});

for (const { path, parse, texts } of [
  { path: ["gateway", "hold", "time"], parse: parseDuration, texts: ["250ms", "1.5s", "1d", "5", "1 s", "1w", "ms"] },
  { path: ["gateway", "hold", "bytes"], parse: parseSize, texts: ["64KiB", "0B", "1.5GiB", "64KB", "64", "64kib"] },
])
  test(`its pattern of ${path.join(".")} accepts what the check accepts`, () => {
    const pattern = new RegExp(String(at(...path)["pattern"]));
    for (const text of texts) expect([text, pattern.test(text)]).toEqual([text, parse(text).kind === "ok"]);
  });
