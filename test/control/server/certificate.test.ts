/** Who may call by its certificate, and what is said to others. */
import { expect, test } from "bun:test";
import { Hono } from "hono";
import { createApi } from "../../../src/control/server/api.ts";
import type { Authenticated } from "../../../src/control/server/authentication.ts";
import { requireCaller, requireCertificate } from "../../../src/control/server/certificate.ts";
import { hostParty } from "../../../src/control/channel/transcript.ts";
import { silentLog } from "../../support/control/cluster-certificates.ts";

const app = createApi({ part: "gateway", manual: "docs/GATEWAY-API.md", log: silentLog });
app.use(requireCertificate("prod", (_, path) => (path === "/open" ? ["gateway", "host"] : ["gateway"])));
app.all("*", (c) => c.json(c.get("certificate")?.identities ?? []));

/** A call over a connection with this certificate. */
const call = (path: string, subjectaltname: string | undefined, authorized = true) =>
  app.request(
    `http://g${path}`,
    {},
    { incoming: { socket: { encrypted: true, authorized, getPeerCertificate: () => ({ subjectaltname }) } } },
  );

test("a certificate of the role that the call takes is passed on, with all that it is", async () => {
  const answer = await call("/x", "URI:stead://prod/gateway/g1, URI:stead://prod/host/notes/a");
  expect([answer.status, ((await answer.json()) as unknown[]).length]).toEqual([200, 2]);
  expect((await call("/open", "URI:stead://prod/host/notes/a")).status).toBe(200);
});

test.each([
  ["another role", "URI:stead://prod/host/notes/a", "of host:notes/a in prod"],
  ["another cluster", "URI:stead://staging/gateway/g1", "of gateway:g1 in staging"],
  ["a name that is none of a cluster", "DNS:gateway", "of no process of a cluster"],
])("%s is refused, with what was found and what is accepted", async (_, name, found) => {
  const answer = await call("/x", name);
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({
    code: "unauthorized",
    error: `not authenticated: the certificate is ${found}`,
    accepted: "for this call, one of gateway in prod",
    advice: expect.stringContaining("stead ca issue"),
  });
});

test("a certificate that was not verified, and a connection without TLS, are of no process", async () => {
  expect((await call("/x", "URI:stead://prod/gateway/g1", false)).status).toBe(401);
  expect((await app.request("http://g/x", {}, { incoming: { socket: { encrypted: false } } })).status).toBe(401);
  expect((await app.request("http://g/x")).status).toBe(401);
});

test("without TLS no certificate is asked for", async () => {
  const clear = new Hono<Authenticated>();
  clear.use(requireCertificate(undefined, () => []));
  clear.get("/x", (c) => c.text("ok"));
  expect((await clear.request("http://g/x")).status).toBe(200);
});

test("a caller is who its certificate says; a gateway may speak as an operator, and a host may not", () => {
  const shown = (role: "gateway" | "host" | "operator", id: string) => ({
    cluster: "prod",
    identities: [{ cluster: "prod", party: { role, id } }],
  });
  const judged = (...args: Parameters<typeof requireCaller>) => expect(() => requireCaller(...args));
  judged(shown("host", "notes/a"), hostParty("notes", "a")).not.toThrow();
  judged(shown("gateway", "g1"), { role: "operator", id: "-" }).not.toThrow();
  judged(shown("host", "notes/a"), hostParty("notes", "b")).toThrow("the certificate is of host:notes/a");
  judged(shown("host", "notes/a"), { role: "operator", id: "-" }).toThrow("the certificate is of host:notes/a");
  judged(shown("gateway", "g1"), { role: "gateway", id: "*" }).toThrow("the certificate is of gateway:g1");
});
