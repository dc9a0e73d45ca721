/** Connections for clients' requests: made once the other side has shown the certificate of who is meant. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:tls";
import { hostParty, type Party } from "../../../src/control/channel/transcript.ts";
import { tlsConnect } from "../../../src/control/tls/tls-connect.ts";
import { TestAuthority } from "../../support/control/cluster-certificates.ts";

const a = hostParty("notes", "a");
const gateway: Party = { role: "gateway", id: "g1" };
let authority: TestAuthority;
let server: Server;
let received: string;
beforeAll(async () => {
  authority = await TestAuthority.create();
  const { ca, cert, key } = (await authority.open(a)).files;
  const options = { ca: [...ca], cert, key, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ["http/1.1"] };
  server = createServer(options, (socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      received += bytes.toString();
      socket.write("pong");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.close();
  authority.remove();
});

/** What happens to a connection that says "ping" once it is made. */
async function events(to: Party): Promise<readonly string[]> {
  received = "";
  const seen: string[] = [];
  const tcp = tlsConnect(await authority.open(gateway), to);
  await new Promise<void>((resolve) => {
    const socket = tcp.connect("127.0.0.1", (server.address() as AddressInfo).port, {
      onConnect() {
        seen.push("connected");
        socket.write(Buffer.from("ping"));
      },
      onData(chunk) {
        seen.push(chunk.toString());
        socket.destroy();
        resolve();
        return undefined;
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose() {
        seen.push("closed");
        resolve();
      },
    });
  });
  return seen;
}

test("bytes go both ways to the host that is meant", async () => {
  expect(await events(a)).toEqual(["connected", "pong"]);
  expect(received).toBe("ping");
});

test("a server with the certificate of another host is left before a byte is sent", async () => {
  expect(await events(hostParty("notes", "b"))).toEqual(["closed"]);
  expect(received).toBe("");
});
