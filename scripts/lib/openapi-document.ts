/**
 * An OpenAPI 3.1 document from a table of calls and the valibot schemas of the contract.
 *
 * What JSON Schema cannot say (a `check`) goes into the description of its schema; what cannot be converted at all
 * throws: nothing of a schema is dropped silently. Bodies and answers are described as they are read, so a field with a
 * default may be left out.
 */
import { type JsonSchema, toJsonSchemaDefs } from "@valibot/to-json-schema";
import ts from "typescript";
import type * as v from "valibot";

export type Schemas = Readonly<Record<string, v.GenericSchema>>;

/** An answer's body: one JSON value of these schemas, lines of JSON of one schema, or text. */
export type Body = { readonly json: readonly string[] } | { readonly lines: string } | { readonly text: string };

export interface Call {
  readonly method: "get" | "post" | "patch" | "delete";
  /** With `{name}` for each parameter. */
  readonly path: string;
  readonly summary: string;
  /** Schema of the request's body; `optional`: an empty one is `{}`. */
  readonly request?: { readonly schema: string; readonly optional: boolean };
  readonly ok: { readonly description: string; readonly body: Body };
  /** Other answers by status code, by their names in `responses`. */
  readonly others: Readonly<Record<number, string>>;
  /** No secret is asked for. */
  readonly isOpen?: true;
}

export interface Api {
  readonly title: string;
  readonly description: string;
  /** Which certificates its calls need with `[cluster.tls]`. */
  readonly certificates: string;
  readonly schemas: Schemas;
  /** Descriptions of schemas (`Name`) and of their fields (`Name.field`). */
  readonly comments: Readonly<Record<string, string>>;
  readonly responses: Readonly<Record<string, { readonly description: string; readonly schema: string }>>;
  readonly calls: readonly Call[];
}

const schemaRef = (name: string): { $ref: string } => ({ $ref: `#/components/schemas/${name}` });

/** The document, ready for `JSON.stringify`. */
export function openApiDocument(api: Api) {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const call of api.calls) (paths[call.path] ??= {})[call.method] = operation(call);
  return {
    openapi: "3.1.0",
    info: {
      title: api.title,
      version: "1",
      description: api.description,
      license: { name: "Apache 2.0", identifier: "Apache-2.0" },
    },
    security: [{ secret: [] }],
    paths,
    components: {
      securitySchemes: {
        secret: { type: "http", scheme: "bearer", description: "The cluster secret." },
        certificate: {
          type: "mutualTLS",
          description: `With [cluster.tls] besides the secret, a certificate of a role in the cluster: ${api.certificates}.`,
        },
      },
      responses: Object.fromEntries(
        Object.entries(api.responses).map(([name, { description, schema }]) => [
          name,
          { description, content: content({ json: [schema] }) },
        ]),
      ),
      schemas: describe(convert(api.schemas), api.comments),
    },
  };
}

function operation(call: Call) {
  const parameters = [...call.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const others = Object.entries(call.others).map(([status, name]) => [
    status,
    { $ref: `#/components/responses/${name}` },
  ]);
  const words = call.path.split(/[^\w]+/).filter((word) => word !== "" && word !== "v1");
  return {
    operationId: [call.method, ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join(""),
    summary: call.summary,
    ...(call.isOpen ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(call.request
      ? { requestBody: { required: !call.request.optional, content: content({ json: [call.request.schema] }) } }
      : {}),
    responses: {
      "200": { description: call.ok.description, content: content(call.ok.body) },
      ...(Object.fromEntries(others) as object),
    },
  };
}

/**
 * OpenAPI 3.1 has no word for a stream of values: it is text, and `x-itemSchema` (3.2: `itemSchema`) is the schema of
 * each line.
 */
function content(body: Body) {
  if ("text" in body) return { [body.text]: { schema: { type: "string" } } };
  if ("lines" in body) {
    const description = `NDJSON: one ${body.lines} a line, each sent as it happens.`;
    return {
      "application/x-ndjson": { schema: { type: "string", description }, "x-itemSchema": schemaRef(body.lines) },
    };
  }
  const [only, ...more] = body.json.map(schemaRef);
  return { "application/json": { schema: more.length === 0 ? only : { anyOf: [only, ...more] } } };
}

/** Throws for a schema that is neither convertible nor a check with a description in words. */
export function convert(schemas: Schemas): Record<string, JsonSchema> {
  return toJsonSchemaDefs(schemas, {
    target: "draft-2020-12",
    typeMode: "input",
    overrideRef: ({ referenceId }) => schemaRef(referenceId).$ref,
    overrideAction: ({ valibotAction: action, jsonSchema, errors }) => {
      if (
        errors === undefined ||
        action.type !== "check" ||
        !("message" in action) ||
        typeof action.message !== "string"
      )
        return undefined;
      return {
        ...jsonSchema,
        description: [jsonSchema.description, `Checked besides this schema: ${action.message}.`]
          .filter(Boolean)
          .join(" "),
      };
    },
  });
}

function describe(schemas: Record<string, JsonSchema>, comments: Api["comments"]): Record<string, JsonSchema> {
  const withComment = (schema: JsonSchema, comment: string | undefined): JsonSchema =>
    comment === undefined
      ? schema
      : { ...schema, description: [comment, schema.description].filter(Boolean).join(" ") };
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const properties = Object.entries(schema.properties ?? {}).map(([key, field]) => [
        key,
        typeof field === "boolean" ? field : withComment(field, comments[`${name}.${key}`]),
      ]);
      const described = withComment(schema, comments[name]);
      return [
        name,
        schema.properties === undefined
          ? described
          : { ...described, properties: Object.fromEntries(properties) as JsonSchema["properties"] & object },
      ];
    }),
  );
}

/** The exports of a module that are called `somethingSchema`, as `Something`. */
export function schemasOf(module: object): Schemas {
  const named = Object.entries(module).filter(([name]) => name.endsWith("Schema"));
  return Object.fromEntries(named.map(([name, schema]) => [schemaName(name), schema as v.GenericSchema]));
}

const schemaName = (constant: string): string =>
  constant.charAt(0).toUpperCase() + constant.slice(1).replace(/Schema$/, "");

/** The doc comments of a module's schemas and of the fields of each. */
export function commentsOf(path: string, text: string): Record<string, string> {
  const found: Record<string, string> = {};
  const note = (key: string, node: ts.Node): void => {
    const comment = ts.getJSDocCommentsAndTags(node).find(ts.isJSDoc)?.comment;
    if (typeof comment === "string") found[key] = comment.replaceAll(/\s+/g, " ");
  };
  for (const statement of ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true).statements) {
    const [declaration] = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [];
    if (declaration === undefined || !ts.isIdentifier(declaration.name) || !declaration.name.text.endsWith("Schema"))
      continue;
    const name = schemaName(declaration.name.text);
    note(name, statement);
    const [fields] =
      declaration.initializer !== undefined && ts.isCallExpression(declaration.initializer)
        ? declaration.initializer.arguments
        : [];
    if (fields === undefined || !ts.isObjectLiteralExpression(fields)) continue;
    for (const field of fields.properties)
      if (field.name !== undefined && ts.isIdentifier(field.name)) note(`${name}.${field.name.text}`, field);
  }
  return found;
}
