/**
 * Hrana over HTTP (docs/GATEWAY-API.md): `@libsql/client`, drizzle and other Hrana clients read a gateway's database at
 * its admin address. JSON only; `/v3-protobuf` is answered with 404, after which clients fall back to JSON.
 *
 * The version checks reveal only that the protocol is supported, and clients send them without the secret.
 */
import { Hono, type Context } from "hono";
import {
  hranaNestingMax,
  hranaPipelineSchema,
  type HranaError,
  type HranaPipelineAnswer,
} from "../../../control/hrana.ts";
import { parseJson } from "../../../control/server/body.ts";
import { runPipeline, type PipelineDeps } from "./pipeline.ts";
import { HranaStreams } from "./streams.ts";

const versions = ["v2", "v3"] as const;

/** Mounted before the check of the secret. */
export function hranaVersionApp(): Hono {
  const app = new Hono();
  for (const version of versions)
    app.get(`/${version}`, (c) => c.json({ version, encoding: "json", access: "read-only" }));
  const noProtobuf = (c: Context): Response =>
    c.json({ message: "only JSON is supported: /v3 and /v2", code: "HRANA_ENCODING" } satisfies HranaError, 404);
  app.all("/v3-protobuf", noProtobuf);
  app.all("/v3-protobuf/*", noProtobuf);
  return app;
}

/** Mounted behind the check of the secret. */
export function hranaApp(deps: PipelineDeps): Hono {
  const app = new Hono();
  const streams = new HranaStreams(deps.clock);
  for (const version of versions) app.post(`/${version}/pipeline`, (c) => pipeline(c, streams, deps));
  return app;
}

async function pipeline(c: Context, streams: HranaStreams, deps: PipelineDeps): Promise<Response> {
  const malformed = (message: string, code = "HRANA_PROTO_ERROR"): Response =>
    c.json({ message, code } satisfies HranaError, 400);
  const text = await c.req.text();
  if (nestingOf(text) > hranaNestingMax) return malformed(`the body is nested more than ${hranaNestingMax} deep`);
  const parsed = parseJson(text, hranaPipelineSchema);
  if (parsed.kind === "malformed") return malformed(parsed.found);
  const stream = streams.take(parsed.value.baton);
  if (stream === undefined)
    return malformed(
      "unknown baton: its stream was closed, the baton was already used, or it was idle too long",
      "STREAM_EXPIRED",
    );
  const results = await runPipeline(stream, parsed.value.requests, deps);
  return c.json({ baton: streams.keep(stream), base_url: null, results } satisfies HranaPipelineAnswer);
}

/** Returns the nesting depth of brackets outside strings, in one pass: an unterminated string ends with the text. */
function nestingOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  let isQuoted = false;
  for (let at = 0; at < json.length; at++) {
    const token = json[at];
    if (isQuoted && token === "\\") at++;
    else if (token === '"') isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (token === "{" || token === "[") deepest = Math.max(deepest, ++depth);
    else if (token === "}" || token === "]") depth--;
  }
  return deepest;
}
