/** The usual way: `hono/proxy` (fetch) on Bun.serve. Arguments: port, TLS port, backend's port, PEM file. */
import { readFileSync } from "node:fs";
import { Hono } from "hono";
import { proxy } from "hono/proxy";

const [port = "0", tlsPort = "0", backendPort = "0", pem = ""] = process.argv.slice(2);
const app = new Hono();
app.all("*", (context) => {
  const url = new URL(context.req.url);
  return proxy(`http://127.0.0.1:${backendPort}${url.pathname}`, {
    ...context.req,
    headers: { ...context.req.header(), "X-Forwarded-For": "127.0.0.1", "X-Request-Id": crypto.randomUUID() },
  });
});
const text = readFileSync(pem, "utf8");
Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: app.fetch });
Bun.serve({ hostname: "127.0.0.1", port: Number(tlsPort), fetch: app.fetch, tls: { cert: text, key: text } });
process.stdout.write("ready\n");
