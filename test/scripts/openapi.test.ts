/** docs/openapi against the schemas it is made of and the applications it describes. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { commentsOf, convert } from "../../scripts/lib/openapi-document.ts";
import { openApiDocuments, openApiFolder, openApiText } from "../../scripts/openapi.ts";
import type { Api } from "../../src/control/server/api.ts";
import { clusterSecret } from "../../src/control/server/authentication.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { ChannelServer } from "../../src/control/channel/server.ts";
import { type AdminTarget, createAdminApp } from "../../src/gateway/admin/admin.ts";
import { Audit } from "../../src/gateway/admin/audit.ts";
import { type Controlled, controlApp } from "../../src/host/control/control.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemLog } from "../../src/runtime/log.ts";

const secret = "s".repeat(32);
const documents = openApiDocuments();
const authenticator = clusterSecret(secret);
const hostApp = controlApp({} as Controlled, {
  authenticator,
  clock: systemClock,
  metrics: new PrometheusMetrics(hostMetrics),
  log: systemLog("host"),
});
const gatewayApp = createAdminApp({
  authenticator,
  channel: new ChannelServer(new Keyring([secret]), { role: "gateway", id: "g" }, systemClock),
  audit: new Audit({ gateway: "g", clock: systemClock, log: systemLog("gateway"), store: { write: () => undefined } }),
  clock: systemClock,
  services: () => [],
  secretDoubt: { kind: "none" },
  peers: {},
} as unknown as AdminTarget);
/** Between gateways of one version: src/control/peer-api.ts. */
const internal = ["POST /v1/peer/sync"];

const both: readonly [file: keyof typeof documents, app: Api, internal: readonly string[]][] = [
  ["host.json", hostApp, []],
  ["gateway.json", gatewayApp, internal],
];

/** Every `METHOD /path` of an application; a handler for all methods is a check before them, or a refusal. */
const routesOf = (app: Api): string[] =>
  [
    ...new Set(
      app.routes
        .filter(({ method }) => method !== "ALL")
        .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`),
    ),
  ].sort();

const callsOf = (document: (typeof documents)["host.json"]): string[] =>
  Object.entries(document.paths)
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    .sort();

describe.each(both)("docs/openapi/%s", (file, app, notDescribed) => {
  const document = documents[file];

  test("is what `bun run openapi` writes", () => {
    expect(readFileSync(join(openApiFolder, file), "utf8")).toBe(openApiText(document));
  });

  test("has every route of the application, and no other", () => {
    expect(callsOf(document).length).toBeGreaterThan(5);
    expect([...callsOf(document), ...notDescribed].sort()).toEqual(routesOf(app));
  });

  test("says rightly which calls need the secret", async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, described] of Object.entries(methods)) {
        const { status } = await app.request(path, { method: method.toUpperCase() });
        const { security, responses } = described as { security?: unknown; responses: object };
        expect([method, path, status === 401]).toEqual([method, path, security === undefined]);
        expect([method, path, "401" in responses]).toEqual([method, path, security === undefined]);
      }
    }
  });

  test("refers to nothing that it does not have, and has nothing that it does not refer to", () => {
    const referred = new Set(
      [...openApiText(document).matchAll(/"\$ref": "#\/components\/(\w+\/\w+)"/g)].map(([, name]) => name ?? ""),
    );
    const { responses, schemas } = document.components;
    const had = [
      ...Object.keys(responses).map((name) => `responses/${name}`),
      ...Object.keys(schemas).map((name) => `schemas/${name}`),
    ];
    expect(had.sort()).toEqual([...referred].sort());
  });
});

test("there are no other documents", () => {
  expect(readdirSync(openApiFolder).sort()).toEqual(Object.keys(documents).sort());
});

test("a check that JSON Schema cannot express is said in words, and what has no words is refused", () => {
  const reason = documents["host.json"].components.schemas["DemoteRequest"]?.properties?.["reason"];
  expect(reason).toMatchObject({
    type: "string",
    maxLength: 500,
    description: "Checked besides this schema: text without a lone surrogate.",
  });
  expect(() =>
    convert({
      X: v.pipe(
        v.string(),
        v.check((text) => text !== ""),
      ),
    }),
  ).toThrow("check");
  expect(() =>
    convert({
      X: v.pipe(
        v.string(),
        v.rawCheck(() => undefined),
      ),
    }),
  ).toThrow("raw_check");
  expect(() => convert({ X: v.pipe(v.string(), v.regex(/x/i)) })).toThrow("flags");
  expect(() => convert({ X: v.bigint() })).toThrow("bigint");
});

test("the comments of schemas and fields are their descriptions", () => {
  const text =
    "/** A thing. */\nexport const thingSchema = v.object({\n  /** How\n   * long. */\n  ms: v.number(),\n  other: v.number(),\n});\n/** No schema. */\nconst x = 1;";
  expect(commentsOf("thing.ts", text)).toEqual({ Thing: "A thing.", "Thing.ms": "How long." });
});
