/**
 * Queries on a valibot schema that its validation does not answer: which keys it knows at a path, which schema is at a
 * path, and which keys of a value it does not know (valibot's strict objects name only the first).
 */
import type * as v from "valibot";
import type { KeyPath } from "./locate.ts";

type Schema = v.GenericSchema;

/** Unwraps optional() and pipe() down to the schema with the structure. */
function inner(schema: Schema): Schema {
  if ("wrapped" in schema) return inner(schema.wrapped as Schema);
  if ("pipe" in schema) {
    const structured = (schema.pipe as readonly Schema[]).find((part) => part.type === "object");
    if (structured !== undefined) return structured;
  }
  return schema;
}

/** Returns the entries of a table schema; undefined if its keys are free (env) or it has none. */
function entriesOf(schema: Schema): Readonly<Record<string, Schema>> | undefined {
  const structure = inner(schema);
  return "entries" in structure ? (structure.entries as Record<string, Schema>) : undefined;
}

function itemOf(schema: Schema): Schema | undefined {
  const structure = inner(schema);
  return "item" in structure ? (structure.item as Schema) : undefined;
}

/** Returns the schema at a path, or undefined if there is no such path. */
export function schemaAt(schema: Schema, path: KeyPath): Schema | undefined {
  let current: Schema | undefined = schema;
  for (const part of path) {
    if (current === undefined) return undefined;
    current = typeof part === "number" ? itemOf(current) : entriesOf(current)?.[part];
  }
  return current;
}

export interface UnknownKey {
  readonly path: KeyPath;
  readonly known: readonly string[];
}

/** Returns every key of `value`, at any depth, that the schema does not know. */
export function unknownKeys(schema: Schema, value: unknown, path: KeyPath = []): UnknownKey[] {
  if (Array.isArray(value)) {
    const item = itemOf(schema);
    return item === undefined ? [] : value.flatMap((element, index) => unknownKeys(item, element, [...path, index]));
  }
  const entries = entriesOf(schema);
  if (entries === undefined || typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, content]) => {
    const entry = Object.hasOwn(entries, key) ? entries[key] : undefined;
    if (entry === undefined) return [{ path: [...path, key], known: Object.keys(entries) }];
    return unknownKeys(entry, content, [...path, key]);
  });
}

/** Returns all paths at which the schema knows `key`, without array positions: `host.lease`. */
export function pathsOfKey(schema: Schema, key: string, prefix = ""): string[] {
  const entries = entriesOf(schema) ?? {};
  return Object.entries(entries).flatMap(([name, entry]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const below = pathsOfKey(itemOf(entry) ?? entry, key, path);
    return name === key ? [path, ...below] : below;
  });
}

/** Returns every key that is not itself a table of known keys, without array positions: `gateway.probe.interval`. */
export function keyPaths(schema: Schema, prefix = ""): string[] {
  return Object.entries(entriesOf(schema) ?? {}).flatMap(([name, entry]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const below = keyPaths(itemOf(entry) ?? entry, path);
    return below.length > 0 ? below : [path];
  });
}
