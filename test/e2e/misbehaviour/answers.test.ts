/** Answers that are late, broken or missing: what was executed is not executed again, and the client hears why. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { open } from "../raw-load.ts";
import { Stage } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

let stage: Stage;
afterEach(() => stage.close());

const gatewayPort = (): number => Number(new URL(stage.gateway.url).port);
const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

test("an answer that breaks HTTP is a 502 that names the rule, and its request was executed once", async () => {
  stage = await Stage.open();
  const { status, text } = await stage.ask("GET", "/doubled");
  expect([status, text]).toEqual([502, expect.stringMatching(/transfer-encoding/i)]);
  expect(stage.executions("/doubled")).toBe(1);
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
});

test("a connection that the application closes without an answer is a 502 that says so, and its request was executed once", async () => {
  stage = await Stage.open();
  const { status, text } = await stage.ask("GET", "/hang-up");
  expect([status, text]).toEqual([502, expect.stringMatching(/closed/i)]);
  expect(stage.executions("/hang-up")).toBe(1);
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
});

test("a first byte that does not come in time is a 504, and its request was executed once", async () => {
  stage = await Stage.open({ gateway: 'limits.first_byte = "1s"' });
  const { status } = await stage.ask("GET", "/late?s=4");
  expect(status).toBe(504);
  await stage.until("the application to be done with it", () =>
    stage.happened().some(({ event, target }) => (event === "end" || event === "cancelled") && target === "/late?s=4"),
  );
  expect((await stage.ask("GET", "/ping")).status).toBe(200);
  expect(stage.executions("/late?s=4")).toBe(1);
});

test("a request whose client has gone while it waited for a primary is never executed", async () => {
  stage = await Stage.open({ hosts: 1, gateway: 'hold.time = "10m"' });
  const primary = await stage.primary();
  primary.process?.signal("SIGKILL");
  const client = await open(gatewayPort());
  client.write(get("/late?s=0"));
  await stage.until("the request to wait", async () => (await stage.service()).waiting.requests === 1);
  client.destroy();
  await stage.until("the request to leave the queue", async () => (await stage.service()).waiting.requests === 0);
  await stage.cluster.start(primary);
  await stage.whole();
  expect(stage.executions("/late?s=0")).toBe(0);
});

test("a request whose client has gone while it executes is cancelled at the application", async () => {
  stage = await Stage.open();
  const client = await open(gatewayPort());
  client.write(get("/late?s=600"));
  await stage.until("the request to be executed", () => stage.executions("/late?s=600") === 1);
  client.destroy();
  await stage.until("the application to see it", () =>
    stage.happened().some(({ event, target }) => event === "cancelled" && target === "/late?s=600"),
  );
  expect(stage.executions("/late?s=600")).toBe(1);
});

test("a client that has closed its side is gone too, unless the gateway is told to serve it", async () => {
  stage = await Stage.open();
  const client = await open(gatewayPort());
  client.write(get("/late?s=600"));
  await stage.until("the request to be executed", () => stage.executions("/late?s=600") === 1);
  client.end();
  await stage.until("the application to see it", () =>
    stage.happened().some(({ event, target }) => event === "cancelled" && target === "/late?s=600"),
  );
  client.destroy();
});

test('with client_half_close = "serve" a client that has closed its side gets its answer', async () => {
  stage = await Stage.open({ gateway: 'client_half_close = "serve"' });
  const client = await open(gatewayPort());
  let heard = "";
  client.setEncoding("latin1").on("data", (text: string) => (heard += text));
  client.end(get("/late?s=1"));
  await stage.until("the answer", () => heard.includes("\r\n\r\nok"));
  client.destroy();
});
