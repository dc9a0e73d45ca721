/**
 * Request bodies: bounded, JSON, and checked against a valibot schema.
 *
 * The limit also applies to calls that do not read their body: it has to be received anyway before the connection can
 * be used again.
 */
import type { Context, Env, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as v from "valibot";
import { ApiRefusal } from "./refusal.ts";

/** The largest order is a promotion, with the suspects and the ids of the gateways that see the primary down. */
export const orderBytesMax = 256 * 1024;

/** Answers 413 to a longer body, with or without a `Content-Length`. */
export function limitBody(bytesMax: number = orderBytesMax): MiddlewareHandler {
  return bodyLimit({
    maxSize: bytesMax,
    onError: () => {
      throw new ApiRefusal("too-large", {
        found: "the body is too large",
        advice: `at most ${bytesMax} bytes are accepted`,
      });
    },
  });
}

export type ParsedBody<T> =
  | { readonly kind: "ok"; readonly value: T }
  /** `found` names the fields and what is wrong with each. */
  | { readonly kind: "malformed"; readonly found: string };

export const readJson = async <T>(c: Context, schema: v.GenericSchema<unknown, T>): Promise<ParsedBody<T>> =>
  parseJson(await c.req.text(), schema);

/** Parses an empty text as `{}`, so a call without required fields needs no body. */
export function parseJson<T>(text: string, schema: v.GenericSchema<unknown, T>): ParsedBody<T> {
  let value: unknown;
  try {
    value = text === "" ? {} : (JSON.parse(text) as unknown);
  } catch {
    return { kind: "malformed", found: "the body is not JSON" };
  }
  const parsed = v.safeParse(schema, value);
  return parsed.success ? { kind: "ok", value: parsed.output } : { kind: "malformed", found: describe(parsed.issues) };
}

/** Gives the body to the handler as `c.req.valid("json")`; answers 400 if it does not match. */
export function jsonBody<T extends object>(
  schema: v.GenericSchema<unknown, T>,
): MiddlewareHandler<Env, string, { in: { json: T }; out: { json: T } }> {
  return async function checkBody(c, next) {
    const body = await readJson(c, schema);
    if (body.kind === "malformed")
      throw new ApiRefusal("malformed", { found: body.found, advice: "see docs/openapi for the body of this call" });
    c.req.addValidatedData("json", body.value);
    await next();
  };
}

const issuesShown = 3;
const foundCharactersMax = 500;

/** Returns `<field>: <what>` for the first fields. It quotes values of the client, so its length is bounded. */
function describe(issues: readonly v.BaseIssue<unknown>[]): string {
  const shown = issues.slice(0, issuesShown).map((issue) => `${v.getDotPath(issue) ?? "body"}: ${wrongWith(issue)}`);
  const more = issues.length > issuesShown ? [`and ${issues.length - issuesShown} more`] : [];
  const text = [...shown, ...more].join("; ");
  return text.length > foundCharactersMax ? `${text.slice(0, foundCharactersMax)}…` : text;
}

/** The message of a check is what it accepts (docs/openapi quotes it), so the value is added. */
const wrongWith = ({ type, message, received }: v.BaseIssue<unknown>): string =>
  type === "check" ? `found ${received}, accepted: ${message}` : message;
