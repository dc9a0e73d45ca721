/** tls-alpn-01 (RFC 8737) beside the clients of the same address. */
import { afterEach, expect, test } from "bun:test";
import { connect } from "node:tls";
import { HttpServer } from "../../../src/http/server/server.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { certificateA, certificateB } from "../../support/http/certificates.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";

let server: HttpServer;
let isOpen = true;
afterEach(() => server.close({ drainMs: 0 }));

async function start(limits: Record<string, number> = {}): Promise<void> {
  isOpen = true;
  server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock, tls: certificateA, limits },
    challenges: {
      areOpen: () => isOpen,
      certificateOf: (name) => Promise.resolve(name === "b.example" ? certificateB : undefined),
    },
    onExchange: (exchange) => exchange.respond({ status: 200, body: "served" }),
  });
}

interface Seen {
  readonly name: string | undefined;
  readonly protocol: string | false | null;
  readonly received: string;
}

function ask(servername: string, ...protocols: readonly string[]): Promise<Seen> {
  return new Promise((resolve) => {
    let [name, received]: [string | undefined, string] = [undefined, ""];
    const options = { port: server.port, host: "127.0.0.1", servername, rejectUnauthorized: false };
    const socket = connect({ ...options, ALPNProtocols: [...protocols] }, () => {
      name = String(socket.getPeerCertificate().subject.CN);
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    });
    socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve({ name, protocol: socket.alpnProtocol, received }));
  });
}

test("an authority sees the certificate of its challenge, and is served nothing", async () => {
  await start();
  expect(await ask("b.example", "acme-tls/1")).toEqual({ name: "b.example", protocol: "acme-tls/1", received: "" });
  await waitFor(() => server.connections === 0);
});

test("all others see the usual one, also for that name, while the challenge is open and afterwards", async () => {
  await start();
  for (const open of [true, false]) {
    isOpen = open;
    for (const protocols of [["http/1.1"], ["http/1.1", "acme-tls/1"], []]) {
      const { name, received } = await ask("b.example", ...protocols);
      expect([name, received.endsWith("served")]).toEqual(["a.example", true]);
    }
  }
});

test("a challenge that is not open ends without a certificate", async () => {
  await start();
  expect(await ask("c.example", "acme-tls/1")).toMatchObject({ name: undefined, received: "" });
  isOpen = false;
  expect((await ask("b.example", "acme-tls/1")).name).not.toBe("b.example");
  await waitFor(() => server.connections === 0);
});

test("a client that does not send its first message has the time of a first request, and counts", async () => {
  await start({ firstRequestMs: 150 });
  const silent = await RawClient.connect(server.port);
  const slow = await RawClient.connect(server.port);
  slow.send("\x16\x03\x01\x02\x00");
  await waitFor(() => server.connections === 2);
  for (const each of [silent, slow]) expect(await each.untilEnd()).toBe("");
  for (const each of [silent, slow]) each.destroy();
  await waitFor(() => server.connections === 0);
});
