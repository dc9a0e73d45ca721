import { afterAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { connect } from "node:tls";
import { readClientHello } from "../../../src/http/server/client-hello.ts";

const servers: Server[] = [];
afterAll(() => servers.forEach((server) => server.close()));

/** The first message of this runtime's TLS. */
function helloOf(options: { servername?: string; ALPNProtocols?: string[] }): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      let bytes = Buffer.alloc(0);
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) return;
        socket.destroy();
        resolve(bytes);
      });
    });
    servers.push(server);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options }).on("error", () => undefined);
    });
  });
}

test("the name and the protocols of a client are read, wherever the message is cut", async () => {
  const bytes = await helloOf({ servername: "Notes.Example", ALPNProtocols: ["acme-tls/1"] });
  expect(readClientHello(bytes)).toEqual({ serverName: "notes.example", protocols: ["acme-tls/1"] });
  for (let cut = 0; cut < bytes.length; cut++) expect(readClientHello(bytes.subarray(0, cut))).toBeUndefined();
  const browser = await helloOf({ servername: "a.example", ALPNProtocols: ["h2", "http/1.1"] });
  expect(readClientHello(browser)?.protocols).toEqual(["h2", "http/1.1"]);
});

test("a client that offers nothing, or no TLS, has neither", async () => {
  expect(readClientHello(await helloOf({}))?.protocols).toEqual([]);
  expect(readClientHello(Buffer.from("GET / HTTP/1.1\r\n"))).toEqual({ serverName: undefined, protocols: [] });
});

test("whatever a client changes in it, nothing is thrown", async () => {
  const bytes = await helloOf({ servername: "notes.example", ALPNProtocols: ["acme-tls/1"] });
  for (let at = 0; at < bytes.length; at++)
    for (const value of [0, 1, 127, 255]) {
      const changed = Buffer.from(bytes);
      changed[at] = value;
      expect(() => readClientHello(changed)).not.toThrow();
    }
});
