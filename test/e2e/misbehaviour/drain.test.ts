/** A switchover waits for answers that have an end, and not for streams that have none. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { Socket } from "node:net";
import { open } from "../raw-load.ts";
import { Beside, Stage } from "./stage.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

/** Far beyond what any of these tests waits: a switchover that waits for a stream does not come to its end. */
const patient = 'drain = "10m"';

let stage: Stage;
afterEach(() => stage.close());

async function openStreams(count: number): Promise<Socket[]> {
  const sockets = await Promise.all(Array.from({ length: count }, () => open(Number(new URL(stage.gateway.url).port))));
  const heard = sockets.map((socket) => new Promise<void>((resolve) => socket.once("data", () => resolve())));
  for (const socket of sockets) socket.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
  await Promise.all(heard);
  return sockets;
}

for (const count of [1, 200]) {
  test(`${count} idle event ${count === 1 ? "stream does" : "streams do"} not hold up a switchover, and all other clients are answered`, async () => {
    stage = await Stage.open({ host: patient });
    const first = await stage.primary();
    const streams = await openStreams(count);
    const ended = Promise.all(
      streams.map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()))),
    );
    const beside = new Beside(stage);
    await stage.until("clients beside", () => beside.answered > 50);
    expect((await stage.admin().switchover({})).kind).toBe("ok");
    expect((await stage.primary()).id).not.toBe(first.id);
    await ended;
    await beside.stop();
    expect([beside.failures, beside.unknown]).toEqual([[], 0]);
  });
}

test("an answer that has an end is waited for in a switchover", async () => {
  stage = await Stage.open({ host: patient });
  const late = stage.ask("GET", "/late?s=4");
  await stage.until("it to be executed", () => stage.executions("/late?s=4") === 1);
  expect((await stage.admin().switchover({})).kind).toBe("ok");
  expect((await late).status).toBe(200);
  expect(stage.executions("/late?s=4")).toBe(1);
});
