/**
 * Each good message means the same wherever the network cuts it: it is sent in two parts, cut at every byte, and byte
 * by byte.
 */
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { proxied } from "../../support/http/proxied.ts";
import { goodRequests, goodResponses, withoutChunkBoundaries } from "./good-cases.ts";

/**
 * One turn of the event loop with its poll phase: what was written before has been read by the other side after a few.
 */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function sendInParts(socket: Socket, text: string, cuts: readonly number[]): Promise<void> {
  let from = 0;
  for (const cut of [...cuts, text.length]) {
    if (cut > from) socket.write(text.slice(from, cut), "latin1");
    from = cut;
    await turn();
    await turn();
  }
}

const everyCut = (text: string): number[][] => [
  ...Array.from({ length: text.length - 1 }, (_, i) => [i + 1]),
  Array.from({ length: text.length - 1 }, (_, i) => i + 1),
];

/** The same work for all items, some at a time. */
async function forAll<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

describe("requests", () => {
  for (const good of goodRequests) {
    test(good.name, async () => {
      await using proxy = await proxied({
        onData: (c) => {
          const expected = good.forwarded.replace("<local>", `127.0.0.1:${proxy.server.port}`);
          if (withoutChunkBoundaries(c.received) !== expected) return;
          c.received = "";
          c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        },
      });
      await forAll(everyCut(good.sent), async (cuts) => {
        const client = await proxy.client();
        await sendInParts(client.socket, good.sent, cuts);
        await client.until((r) => r.endsWith("\r\n\r\nok"));
        client.destroy();
      });
      expect(proxy.outcomes.length).toBe(good.sent.length);
    });
  }
});

describe("responses", () => {
  for (const good of goodResponses) {
    test(good.name, async () => {
      const plans = everyCut(good.sent);
      let next = 0;
      const sending: Promise<void>[] = [];
      await using proxy = await proxied({
        onData: (c) => {
          if (!c.received.endsWith("\r\n\r\n")) return;
          c.received = "";
          const cuts = plans[next++] ?? [];
          sending.push(sendInParts(c.socket, good.sent, cuts).then(() => void (good.ends === true && c.socket.end())));
        },
      });
      await forAll(plans, async () => {
        const client = await proxy.client();
        client.send(good.request);
        await client.until((r) => withoutChunkBoundaries(r) === good.passed);
        client.destroy();
      });
      await Promise.all(sending);
      expect(next).toBe(plans.length);
    }, 15_000);
  }
});
