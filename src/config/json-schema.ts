/**
 * The JSON Schema (draft 7, which editors read) of a configuration file, from the schema that checks it: keys, types,
 * bounds, choices, defaults, and what is accepted as the description. A string may have a variable in place of what a
 * pattern or a choice asks for. `docs/stead.schema.json` is its text (a test compares them). What JSON Schema cannot
 * say (a rule about several keys) remains to `stead config check`.
 */
import * as v from "valibot";
import { explanationOf } from "./fields.ts";
import { fileSchema } from "./schema.ts";

type Schema = v.GenericSchema;
export type JsonSchema = Readonly<Record<string, unknown>>;

/** `stead init` writes it beside the configuration, whose first line names it. */
export const configSchemaFile = "stead.schema.json";

/** The parts of a valibot schema or action that are read here. */
interface Parts {
  readonly type: string;
  readonly kind: string;
  readonly wrapped?: Schema;
  readonly default?: unknown;
  readonly pipe?: readonly (Schema & Parts)[];
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly item?: Schema;
  readonly value?: Schema;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly requirement?: unknown;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

const partsOf = (schema: Schema): Parts => schema;

export function configJsonSchema(): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Configuration of stead",
    ...convert(fileSchema, false),
  };
}

/** As it stands in the file. */
export const configJsonSchemaText = (): string => `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`;

/** `isDescribed`: with what is accepted there. */
function convert(schema: Schema, isDescribed = true): JsonSchema {
  const parts = partsOf(schema);
  if (parts.type === "optional" && parts.wrapped !== undefined) {
    const isPlain = ["string", "number", "boolean"].includes(typeof parts.default);
    return { ...convert(parts.wrapped), ...(isPlain ? { default: parts.default } : {}) };
  }
  const description = isDescribed ? descriptionOf(schema) : undefined;
  return { ...structureOf(parts), ...(description === undefined ? {} : { description }) };
}

/** What is accepted, in the words of the check. */
function descriptionOf(schema: Schema): string | undefined {
  const [issue] = v.safeParse(schema, undefined).issues ?? [];
  return issue === undefined ? undefined : explanationOf(issue).accepted;
}

function structureOf(parts: Parts): JsonSchema {
  if (parts.pipe !== undefined) return Object.assign({}, ...parts.pipe.map(stageOf)) as JsonSchema;
  return typeOf(parts);
}

/** Of a pipe: its first schema gives the type, its actions the bounds. */
function stageOf(stage: Schema & Parts): JsonSchema {
  if (stage.kind === "schema") return stage.type === "custom" ? {} : structureOf(stage);
  const { requirement } = stage;
  switch (stage.type) {
    case "regex":
      return { pattern: orVariable((requirement as RegExp).source) };
    case "non_empty":
      return { minLength: 1 };
    case "min_length":
      return { minItems: requirement };
    case "max_length":
      return { maxItems: requirement };
    case "integer":
      return { type: "integer" };
    case "min_value":
      return { minimum: requirement };
    case "max_value":
      return { maximum: requirement };
    case "metadata":
      return withPattern(stage.metadata ?? {});
    case "check":
    case "raw_transform":
      return {};
    default:
      throw new Error(`no JSON Schema of the action ${stage.type}`);
  }
}

/** Of a text with a variable (variables.ts), whose value only the check knows. */
const variablePattern = "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}";
const orVariable = (pattern: string): string => `(?:${pattern})|${variablePattern}`;
const withPattern = (metadata: JsonSchema): JsonSchema =>
  typeof metadata["pattern"] === "string" ? { ...metadata, pattern: orVariable(metadata["pattern"]) } : metadata;

function typeOf(parts: Parts): JsonSchema {
  switch (parts.type) {
    case "object": {
      const entries = Object.entries(parts.entries ?? {});
      const required = entries.filter(([, entry]) => partsOf(entry).type !== "optional").map(([name]) => name);
      return {
        type: "object",
        properties: Object.fromEntries(entries.map(([name, entry]) => [name, convert(entry)])),
        ...(required.length === 0 ? {} : { required }),
        additionalProperties: false,
      };
    }
    case "array":
      return { type: "array", ...(parts.item === undefined ? {} : { items: convert(parts.item) }) };
    case "record":
      return { type: "object", ...(parts.value === undefined ? {} : { additionalProperties: convert(parts.value) }) };
    case "picklist":
      return { anyOf: [{ enum: parts.options }, { type: "string", pattern: variablePattern }] };
    case "literal":
      return { const: parts.literal };
    case "union":
      return { anyOf: (parts.options ?? []).map((option) => convert(option as Schema, false)) };
    case "string":
    case "number":
    case "boolean":
      return { type: parts.type };
    default:
      throw new Error(`no JSON Schema of ${parts.type}`);
  }
}
