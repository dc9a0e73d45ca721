import { expect, test } from "bun:test";
import { stream } from "hono/streaming";
import { createApi } from "../../../src/control/server/api.ts";
import { listenApi } from "../../../src/control/server/listener.ts";
import { systemLog } from "../../../src/runtime/log.ts";
import { exchange } from "../../support/http/raw-client.ts";

function appWithStream() {
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: systemLog("test") });
  app.get("/stream", (c) =>
    stream(c, async (out) => {
      await out.write("begun\n");
      await new Promise<void>((resolve) => out.onAbort(resolve));
    }),
  );
  return app;
}

test("an address that is in use is rejected with the system's code", async () => {
  const first = await listenApi(appWithStream(), { host: "127.0.0.1", port: 0 });
  expect(listenApi(appWithStream(), { host: "127.0.0.1", port: first.port })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  await first.close();
});

test("closing ends a stream that would never end by itself, and the port is free at once", async () => {
  const listener = await listenApi(appWithStream(), { host: "127.0.0.1", port: 0 });
  const answer = await fetch(`http://127.0.0.1:${listener.port}/stream`);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const ended = reader.read().then(
    ({ done }) => done,
    () => true,
  );
  await listener.close();
  expect(await ended).toBe(true);
  const again = await listenApi(appWithStream(), { host: "127.0.0.1", port: listener.port });
  expect(again.port).toBe(listener.port);
  await again.close();
});

test("HTTP/1.0 needs to name no host, as HAProxy's health checks do not; HTTP/1.1 has to", async () => {
  const listener = await listenApi(appWithStream(), { host: "127.0.0.1", port: 0 });
  const first = async (request: string): Promise<string> =>
    (await exchange(listener.port, request)).split("\r\n")[0] ?? "";
  expect(await first("GET /none HTTP/1.0\r\n\r\n")).toBe("HTTP/1.1 404 Not Found");
  expect(await first("GET /none HTTP/1.0\r\nHost: a b\r\n\r\n")).toBe("HTTP/1.1 400 Bad Request");
  expect(await first("GET /none HTTP/1.1\r\nConnection: close\r\n\r\n")).toBe("HTTP/1.1 400 Bad Request");
  await listener.close();
});
