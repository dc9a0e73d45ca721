import { afterEach, expect, test } from "bun:test";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as NetServer } from "node:net";
import { GatewayClient } from "../../src/control/gateway-client.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const token = `stead_${"0".repeat(16)}_${"a".repeat(43)}`;
const opened: { close(): unknown }[] = [];
afterEach(() => {
  for (const server of opened.splice(0)) server.close();
});

async function clientOf(server: NetServer): Promise<GatewayClient> {
  opened.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new GatewayClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { token }, systemClock);
}
const answering = (handler: RequestListener): Promise<GatewayClient> => clientOf(createServer(handler));

test("a token is sent as a bearer, and the answer is read as it is sent", async () => {
  let sent: string | undefined;
  const client = await answering((request, response) => {
    sent = request.headers.authorization;
    response.end('{"tokens":[]}');
  });
  expect(await client.tokens()).toEqual({ kind: "ok", value: { tokens: [] } });
  expect(sent).toBe(`Bearer ${token}`);
});

test("a token that is not accepted is told apart from a role that does not suffice", async () => {
  let status = 401;
  const body = JSON.stringify({ error: "no", code: "forbidden", advice: "another" });
  const client = await answering((_, response) => response.writeHead(status).end(body));
  expect(await client.tokens()).toEqual({ kind: "unauthorized", message: "the token was not accepted" });
  status = 403;
  expect(await client.tokens()).toMatchObject({ kind: "refused-by-gateway", status: 403, code: "forbidden" });
});

test("an answer that is cut off is a failure, also where it could be parsed", async () => {
  for (const head of ["Content-Length: 40\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nd\r\n"]) {
    const client = await clientOf(
      createTcpServer((socket) => {
        socket.on("error", () => undefined);
        socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\n${head}{"tokens":[]}`));
      }),
    );
    expect([head, (await client.tokens()).kind]).toEqual([head, "reset"]);
  }
});
