import { expect, test } from "bun:test";
import { stream } from "hono/streaming";
import { createApi } from "../../../src/control/server/api.ts";
import { listenApi } from "../../../src/control/server/listener.ts";
import { systemLog } from "../../../src/runtime/log.ts";

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
