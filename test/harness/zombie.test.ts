import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { History } from "../../harness/history.ts";
import { NotesModel } from "../../harness/notes-model.ts";
import { ZombieProbe } from "../../harness/zombie.ts";
import { systemClock } from "../../src/runtime/clock.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function probeOf(
  answer: (response: ServerResponse) => void,
): Promise<{ probe: ZombieProbe; history: History; bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    request.on("data", (chunk: Buffer) => bodies.push(chunk.toString()));
    answer(response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const history = new History();
  const dataUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const model = new NotesModel("z", 1);
  const probe = new ZombieProbe({
    dataUrl,
    model,
    history,
    dice: new SeededRandom(1),
    clock: systemClock,
    readPath: "/changes",
  });
  return { probe, history, bodies };
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await systemClock.sleep(2);
};

test("every success of a zombie is noted, reads too", async () => {
  const { probe } = await probeOf((response) => response.writeHead(200).end("{}"));
  await until(
    () =>
      probe.acknowledged.some((line) => line.startsWith("POST")) &&
      probe.acknowledged.some((line) => line.startsWith("GET")),
  );
  await probe.stop();
  expect(probe.acknowledged.length).toBe(probe.sent);
});

test("refusals and cut connections are no acknowledgements", async () => {
  let turn = 0;
  const { probe } = await probeOf((response) =>
    (turn += 1) % 2 === 0 ? response.destroy() : response.writeHead(503).end(),
  );
  await until(() => probe.answered >= 8);
  await probe.stop();
  expect(probe.acknowledged).toEqual([]);
});

test("probes wait for a host that does not answer, and can be cut off", async () => {
  const { probe } = await probeOf(() => undefined);
  await until(() => probe.sent >= 4);
  expect(probe.answered).toBe(0);
  await probe.close();
  expect(probe.acknowledged).toEqual([]);
});

test("a write to a zombie must not show up later", async () => {
  const { probe, history, bodies } = await probeOf((response) => response.writeHead(503).end());
  await until(() => probe.answered >= 4 && bodies.length > 0);
  await probe.close();
  const { text } = JSON.parse(bodies[0] ?? "{}") as { text: string };
  expect(history.finish([{ revision: 1, write: text }]).forbidden).toBe(1);
  expect(history.violations.map(({ kind }) => kind)).toContain("invented");
});
