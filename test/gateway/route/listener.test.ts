/** The data plane's settings through a real gateway: what the file says is what clients and hosts see. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import type { DataPlaneConfig } from "../../../src/config/types.ts";
import { type Gateway } from "../../../src/gateway/gateway.ts";
import type { GatewayLimits } from "../../../src/http/limits.ts";
import { certificateA, certificateB } from "../../support/http/certificates.ts";
import { exchange, RawClient } from "../../support/http/raw-client.ts";
import { defaultDataPlane } from "../../support/config/data-plane.ts";
import { TestCluster, testLimits, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

async function start(change: Partial<DataPlaneConfig>, limits: Partial<GatewayLimits> = {}): Promise<Gateway> {
  await cluster.addHost("a");
  const gateway = await cluster.startGateway({
    dataPlane: { ...defaultDataPlane, ...change },
    limits: { ...testLimits, ...limits },
  });
  await cluster.serving();
  return gateway;
}

const withLimits = (limits: Partial<GatewayLimits>): Promise<Gateway> => start({}, limits);

const get = (fields = ""): string =>
  `GET /fields HTTP/1.1\r\nHost: notes.example\r\nConnection: close\r\n${fields}\r\n`;

/** Name and value of every field that the host got, lower-case names. */
function fieldsSeen(received: string): Record<string, string> {
  const body = JSON.parse(received.slice(received.indexOf("\r\n\r\n") + 4)) as { fields: Record<string, string> };
  return body.fields;
}

test("the log says why a request was refused, and contains nothing that the client sent", async () => {
  const gateway = await start({});
  await exchange(gateway.port, "GET /secret-target HTTP/1.1\r\nHost: a\r\nsecret name: secret-value\r\n\r\n");
  await until(() => cluster.warnings.some((line) => line.startsWith("request refused ")));
  const line = cluster.warnings.find((each) => each.startsWith("request refused ")) ?? "";
  expect(JSON.parse(line.slice("request refused ".length))).toMatchObject({
    client: "127.0.0.1",
    status: 400,
    code: "space_before_colon",
  });
  expect(cluster.warnings.join()).not.toContain("secret");
});

test("the log says why a request was not answered by the application", async () => {
  await cluster.addHost("a", { refusePromotion: "not today" });
  const gateway = await cluster.startGateway({ hold: { requestsMax: 0, bytesMax: 1, timeMs: 50 } });
  expect(await exchange(gateway.port, get())).toContain("503");
  const line = await until(() => cluster.warnings.find((each) => each.startsWith("request not answered")));
  expect(line).toContain('"code":"hold_full"');
});

test("the host gets the client's address, and fields in which a client describes itself are dropped", async () => {
  const gateway = await start({});
  const seen = fieldsSeen(
    await exchange(gateway.port, get("X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: abc-1\r\n")),
  );
  expect(seen).toMatchObject({
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "notes.example",
    "x-request-id": "abc-1",
  });
  expect(seen["forwarded"]).toBe('for=127.0.0.1;proto=http;host="notes.example"');
  expect(seen["traceparent"]).toBeUndefined();
});

test("fields of a trusted proxy are kept and extended, and a request without an id gets one", async () => {
  const gateway = await start({ trustedProxies: ["127.0.0.0/8"], traceparent: "make" });
  const seen = fieldsSeen(
    await exchange(gateway.port, get("X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n")),
  );
  expect(seen).toMatchObject({ "x-forwarded-for": "203.0.113.9, 127.0.0.1", "x-forwarded-proto": "https" });
  expect(seen["x-request-id"]).toMatch(/^[0-9a-f]{32}$/);
  expect(seen["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test("the client that the PROXY protocol names is the client in the fields and in the access log", async () => {
  const path = join(cluster.folder, "access.log");
  const gateway = await start({
    proxyProtocolFrom: ["127.0.0.1"],
    accessLog: { target: { kind: "file", path }, format: "json" },
  });
  const seen = fieldsSeen(await exchange(gateway.port, `PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n${get()}`));
  expect(seen["x-forwarded-for"]).toBe("203.0.113.7");
  expect(await exchange(gateway.port, get())).toContain("400");
  const line = await until(() => existsSync(path) && /^.+(?=\n)/.exec(readFileSync(path, "utf8"))?.[0]);
  expect(JSON.parse(line)).toMatchObject({
    remoteAddress: "203.0.113.7",
    method: "GET",
    target: "/fields",
    status: 200,
    complete: true,
  });
});

test("the access log has one line per request, follows a rotation, and is complete after the end", async () => {
  const path = join(cluster.folder, "access.log");
  const gateway = await start({ accessLog: { target: { kind: "file", path }, format: "combined" } });
  await exchange(gateway.port, get("User-Agent: tester\r\n"));
  await until(() => readFileSync(path, "utf8").endsWith("\n"));
  expect(readFileSync(path, "utf8")).toMatch(
    /^127\.0\.0\.1 - - \[.+\] "GET \/fields HTTP\/1\.1" 200 \d+ "-" "tester"\n$/,
  );
  renameSync(path, `${path}.1`);
  await exchange(gateway.port, get("User-Agent: second\r\n"));
  await gateway.close(0);
  cluster.gateway = null;
  expect(readFileSync(path, "utf8")).toContain('"second"');
  expect(readFileSync(`${path}.1`, "utf8")).not.toContain('"second"');
});

test("an access log that cannot be opened refuses the start", async () => {
  await cluster.addHost("a");
  const accessLog = {
    target: { kind: "file", path: join(cluster.folder, "missing", "access.log") },
    format: "json",
  } as const;
  await expect(cluster.startGateway({ dataPlane: { ...defaultDataPlane, accessLog } })).rejects.toThrow("ENOENT");
});

function overTls(port: number, servername: string): Promise<{ name: string; received: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
    let received = "";
    let name = "";
    socket.on("secureConnect", () => {
      name = String(socket.getPeerCertificate().subject.CN);
      socket.write(get());
    });
    socket.on("data", (chunk) => (received += chunk.toString()));
    socket.on("end", () => resolve({ name, received }));
    socket.on("error", reject);
  });
}

test("TLS ends at the gateway, by server name, and changed files are used without a restart; half a renewal is not", async () => {
  const at = (name: string): string => join(cluster.folder, name);
  const write = (name: string, { cert, key }: typeof certificateA): void => {
    writeFileSync(at(`${name}.key`), key);
    writeFileSync(at(`${name}.pem`), cert);
  };
  const files = (name: string) => ({ certPath: at(`${name}.pem`), keyPath: at(`${name}.key`) });
  write("default", certificateA);
  write("other", certificateB);
  const gateway = await start({
    tls: { ...files("default"), names: [{ serverName: "b.example", ...files("other") }] },
  });
  const first = await overTls(gateway.port, "a.example");
  expect(first.name).toBe("a.example");
  expect(fieldsSeen(first.received)["x-forwarded-proto"]).toBe("https");
  expect((await overTls(gateway.port, "b.example")).name).toBe("b.example");

  writeFileSync(at("default.pem"), certificateB.cert);
  await until(() => gateway.status().troubles.some((trouble) => trouble.includes("certificate")));
  expect((await overTls(gateway.port, "a.example")).name).toBe("a.example");

  writeFileSync(at("default.key"), certificateB.key);
  await until(() => gateway.status().troubles.length === 0);
  expect((await overTls(gateway.port, "a.example")).name).toBe("b.example");
}, 30_000);

test("a certificate that cannot be read refuses the start and says which", async () => {
  await cluster.addHost("a");
  const tls = { certPath: join(cluster.folder, "none.pem"), keyPath: join(cluster.folder, "none.key"), names: [] };
  await expect(cluster.startGateway({ dataPlane: { ...defaultDataPlane, tls } })).rejects.toThrow("none.pem: ENOENT");
});

test("configured limits hold: target, method, connections of one address", async () => {
  const gateway = await withLimits({ targetBytesMax: 64, methodBytesMax: 8, connectionsPerAddressMax: 2 });
  expect(await exchange(gateway.port, `GET /${"x".repeat(64)} HTTP/1.1\r\nHost: a\r\n\r\n`)).toStartWith(
    "HTTP/1.1 414",
  );
  expect(await exchange(gateway.port, "PROPPATCH / HTTP/1.1\r\nHost: a\r\n\r\n")).toStartWith("HTTP/1.1 501");
  await until(() => gateway.status().connections === 0);
  const open = [await RawClient.connect(gateway.port), await RawClient.connect(gateway.port)];
  await until(() => gateway.status().connections === 2);
  const third = await RawClient.connect(gateway.port);
  await until(() => open.filter(({ ended, closed }) => ended || closed).length === 1);
  expect(gateway.status().connections).toBe(2);
  third.destroy();
  for (const client of open) client.destroy();
});

test("a slow body is ended with 408 at its configured rate", async () => {
  const gateway = await withLimits({ bodyBytesPerSecondMin: 1000, bodyRateWindowMs: 100 });
  const client = await RawClient.connect(gateway.port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 408");
});

test("the gateway as a Hono app answers like its listener, with the client that the embedding server names", async () => {
  const gateway = await start({});
  const app = gateway.proxyApp(() => ({ address: "203.0.113.5", port: 1, secure: true }));
  const response = await app.request("https://notes.example/fields", { headers: { "X-Forwarded-For": "6.6.6.6" } });
  const { fields } = (await response.json()) as { fields: Record<string, string> };
  expect(fields).toMatchObject({
    "x-forwarded-for": "203.0.113.5",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "notes.example",
  });
});
