import { expect, test } from "bun:test";
import { connect } from "node:tls";
import { CertificateError } from "../../../src/http/server/server-tls.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { certificateA, certificateB } from "../../support/http/certificates.ts";

/** One request over TLS: whose certificate, which protocol, what was answered. */
function ask(
  port: number,
  servername: string,
): Promise<{ name: string; alpn: string | false | null; received: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      servername,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2", "http/1.1"],
    });
    let received = "";
    let name = "";
    socket.on("secureConnect", () => {
      name = String(socket.getPeerCertificate().subject.CN);
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    });
    socket.on("data", (chunk) => (received += chunk.toString()));
    socket.on("end", () => resolve({ name, alpn: socket.alpnProtocol, received }));
    socket.on("error", reject);
  });
}

const start = (names?: Record<string, typeof certificateA>) =>
  HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    tls: { ...certificateA, ...(names ? { names } : {}) },
    onExchange: (exchange) => exchange.respond({ status: 200, body: exchange.isSecure ? "secure" : "not" }),
  });

test("requests over TLS are answered, with http/1.1 agreed on", async () => {
  const server = await start();
  const answer = await ask(server.port, "a.example");
  expect(answer).toMatchObject({ name: "a.example", alpn: "http/1.1" });
  expect(answer.received).toEndWith("secure");
  await server.close({ drainMs: 0 });
});

test("the certificate follows the server name, also by wildcard", async () => {
  const server = await start({ "b.example": certificateB, "*.shop.example": certificateB });
  expect((await ask(server.port, "B.Example")).name).toBe("b.example");
  expect((await ask(server.port, "x.shop.example")).name).toBe("b.example");
  expect((await ask(server.port, "x.y.shop.example")).name).toBe("a.example");
  expect((await ask(server.port, "shop.example")).name).toBe("a.example");
  await server.close({ drainMs: 0 });
});

test("certificates are replaced while the server runs, and invalid ones change nothing", async () => {
  const server = await start({ "b.example": certificateB });
  expect(() => server.replaceCertificates({ ...certificateB, key: "nonsense" })).toThrow(CertificateError);
  expect(() =>
    server.replaceCertificates({
      ...certificateB,
      names: { "x.example": { cert: "nonsense", key: certificateA.key } },
    }),
  ).toThrow("x.example");
  expect(() => server.replaceCertificates({ cert: certificateB.cert, key: certificateA.key })).toThrow(
    CertificateError,
  );
  expect((await ask(server.port, "a.example")).name).toBe("a.example");
  server.replaceCertificates({ ...certificateB, names: { "a.example": certificateA } });
  expect((await ask(server.port, "other.example")).name).toBe("b.example");
  expect((await ask(server.port, "a.example")).name).toBe("a.example");
  await server.close({ drainMs: 0 });
});

test("a connection that does not speak TLS is dropped, and the server continues", async () => {
  const server = await start();
  const { RawClient } = await import("../../support/http/raw-client.ts");
  const client = await RawClient.connect(server.port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.untilEnd();
  client.destroy();
  expect((await ask(server.port, "a.example")).received).toEndWith("secure");
  await server.close({ drainMs: 0 });
});
