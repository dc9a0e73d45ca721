/** What the front says of requests whose application did not answer, and what it lets through after an ending. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Endings } from "../../../src/host/application/endings.ts";
import { Front } from "../../../src/host/application/front.ts";
import type { ServingTerm } from "../../../src/host/application/serving-term.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { RawBackend } from "../../support/http/raw-backend.ts";
import { RawClient } from "../../support/http/raw-client.ts";
import { until } from "../../support/host/log-fixture.ts";

const minute = 60_000;
const limits = {
  connectionsMax: 2_000,
  headBytesMax: 16_384,
  headerCountMax: 100,
  bodyBytesMax: 1 << 20,
  headArrivalMs: minute,
  idleMs: minute,
  connectMs: minute,
  firstByteMs: 0,
};
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** An application that can be ended and started again, as its supervisor would. */
class FakeApplication {
  readonly endings = new Endings(systemClock);
  readonly executed: string[] = [];
  /** Connections, of all its starts. */
  accepted = 0;
  maySpareEnding = true;
  isReady = true;
  #ready = Promise.withResolvers<void>();
  #server: Server | undefined;
  port = 0;
  readonly #handle: (request: IncomingMessage, response: ServerResponse) => void;

  constructor(handle: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#handle = handle;
    closers.push(() => this.#stop());
  }

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      this.executed.push(request.url ?? "");
      this.#handle(request, response);
    });
    server.on("connection", () => (this.accepted += 1));
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.resume();
    return this;
  }

  /** Its sockets close first, its end is seen after that. */
  end(): void {
    this.#stop();
    setTimeout(() => {
      this.pause();
      this.endings.announce();
    }, 5);
  }

  /** It runs, and its supervisor does not know yet. */
  pause(): void {
    this.isReady = false;
    this.#ready = Promise.withResolvers();
  }

  resume(): void {
    this.isReady = true;
    this.#ready.resolve();
  }

  whenReady(): Promise<void> {
    return this.isReady ? Promise.resolve() : this.#ready.promise;
  }

  /** No connection is left. */
  async closedByItself(): Promise<void> {
    let count = 1;
    await until(() => {
      this.#server?.getConnections((_error, now) => (count = now));
      return count === 0;
    });
  }

  #stop(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }
}

function termOf(application: FakeApplication | number, changes: Partial<ServingTerm> = {}): ServingTerm {
  const fixed = {
    epoch: 4,
    position: 9,
    gate: () => undefined,
    applicationHost: "127.0.0.1",
    onCheckpointAsked: () => undefined,
  };
  if (typeof application === "number")
    return {
      ...fixed,
      applicationPort: application,
      whenReady: () => Promise.resolve(),
      isReady: true,
      endings: new Endings(systemClock),
      maySpareEnding: true,
      ...changes,
    };
  return {
    ...fixed,
    applicationPort: application.port,
    whenReady: () => application.whenReady(),
    get isReady() {
      return application.isReady;
    },
    endings: application.endings,
    get maySpareEnding() {
      return application.maySpareEnding;
    },
    ...changes,
  };
}

async function frontOf(term: ServingTerm): Promise<{ front: Front; url: string }> {
  const front = await Front.listen({ listen: { host: "127.0.0.1", port: 0 }, limits, clock: systemClock });
  closers.push(() => front.close());
  front.serve(term);
  return { front, url: `http://127.0.0.1:${front.port}` };
}

async function word(answer: Promise<Response>): Promise<unknown[]> {
  const response = await answer.catch(() => undefined);
  if (response === undefined) return ["cut"];
  const { status, headers } = response;
  return [status, headers.get("stead-outcome"), headers.get("stead-cause")];
}

describe("what a front says of a request that its application had", () => {
  test("a connection that a living application closes is not its end", async () => {
    const application = await new FakeApplication((request) => request.socket.destroy()).start();
    const { url } = await frontOf(termOf(application));
    expect(await word(fetch(`${url}/x`))).toEqual([502, "unknown", "closed"]);
  });

  test("the end of the process is, though it is seen after the end of the connection", async () => {
    const application: FakeApplication = await new FakeApplication(() => application.end()).start();
    const { url } = await frontOf(termOf(application));
    expect(await word(fetch(`${url}/x`))).toEqual([502, "unknown", "application-ended"]);
  });

  test("a connection that outlives it is not used again: the kernel does not tell of each that is gone", async () => {
    const application = await new FakeApplication((_request, response) => response.end("ok")).start();
    const { url } = await frontOf(termOf(application));
    await (await fetch(url)).text();
    await (await fetch(url)).text();
    expect(application.accepted).toBe(1);
    application.endings.announce();
    await (await fetch(url)).text();
    expect(application.accepted).toBe(2);
  });

  const half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";

  test("nothing of an answer that a living application breaks off has left, and it is no reason to ask again", async () => {
    const application = await new FakeApplication((request) => request.socket.end(half)).start();
    const { url } = await frontOf(termOf(application));
    expect(await word(fetch(`${url}/x`))).toEqual([502, "unknown", "closed"]);
  });

  test("nothing of an answer has left that the end of the process broke off", async () => {
    const application: FakeApplication = await new FakeApplication((request) => {
      request.socket.end(half);
      application.end();
    }).start();
    const { url } = await frontOf(termOf(application));
    expect(await word(fetch(`${url}/x`))).toEqual([502, "unknown", "application-ended"]);
  });

  test("the end of a connection completes an answer without a length, but not that of an application that is ending", async () => {
    let isExiting = false;
    const endings = new Endings(systemClock, () => isExiting);
    const application = await new FakeApplication((request) =>
      request.socket.end("HTTP/1.0 200 OK\r\n\r\nhalf"),
    ).start();
    const { url } = await frontOf(termOf(application, { endings }));
    expect(await (await fetch(url)).text()).toBe("half");
    isExiting = true;
    const read = fetch(url).then((answer) => answer.text());
    expect(await read.catch(() => "cut")).toBe("cut");
  });

  test("nor does that of an application whose end was announced before the end of the connection", async () => {
    const requests: IncomingMessage[] = [];
    const application = await new FakeApplication((request) => {
      request.socket.write("HTTP/1.0 200 OK\r\n\r\nhalf");
      requests.push(request);
    }).start();
    const { url } = await frontOf(termOf(application));
    const answer = await fetch(url);
    application.endings.announce();
    requests[0]?.socket.end();
    expect(await answer.text().catch(() => "cut")).toBe("cut");
  });

  test("an answer that breaks the rules is refused with the rule", async () => {
    const backend = await RawBackend.answering(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    closers.push(() => backend.close());
    const { url } = await frontOf(termOf(backend.port));
    const answer = await fetch(url);
    expect(answer.headers.get("stead-reason")).toBe("Transfer-Encoding must occur once (RFC 9112, 6.1)");
    expect(await word(Promise.resolve(answer))).toEqual([502, "unknown", "invalid-answer"]);
  });
});

describe("a request that ends the application", () => {
  const handle = (application: () => FakeApplication) => (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith("/crash") === true) application().end();
    else if (!(request.url?.startsWith("/never") ?? false)) response.end("ok");
  };

  test("is set aside after two endings, for every client, and others are not", async () => {
    const application: FakeApplication = await new FakeApplication(handle(() => application)).start();
    const { front, url } = await frontOf(termOf(application));
    for (const query of ["a", "b"]) {
      expect(await word(fetch(`${url}/crash?${query}`))).toEqual([502, "unknown", "application-ended"]);
      await until(() => !application.isReady);
      await application.start();
    }
    const refused = await fetch(`${url}/crash?c`);
    expect([refused.headers.get("retry-after"), ...(await word(Promise.resolve(refused)))]).toEqual([
      "10",
      503,
      "not-executed",
      "suspect-request",
    ]);
    expect(await (await fetch(`${url}/notes`)).text()).toBe("ok");
    expect(application.executed).toEqual(["/crash?a", "/crash?b", "/notes"]);
    front.suspects.clear();
    expect(await word(fetch(`${url}/crash?d`))).toEqual([502, "unknown", "application-ended"]);
  });

  test("takes those that were in flight beside it with it once, not twice", async () => {
    const application: FakeApplication = await new FakeApplication(handle(() => application)).start();
    const { url } = await frontOf(termOf(application));
    const beside = fetch(`${url}/never-the-first-time`);
    await until(() => application.executed.length === 1);
    expect(await word(fetch(`${url}/crash`))).toEqual([502, "unknown", "application-ended"]);
    expect(await word(beside)).toEqual([502, "unknown", "application-ended"]);
    // Their gateways repeat both while it restarts; the killer comes first.
    const again = [fetch(`${url}/crash`), fetch(`${url}/never-the-first-time`)].map(word);
    await application.start();
    expect(await again[0]).toEqual([502, "unknown", "application-ended"]);
    await until(() => !application.isReady);
    expect(application.executed).toEqual(["/never-the-first-time", "/crash", "/crash"]);
    await application.start();
    await until(() => application.executed.length === 4);
    expect(application.executed[3]).toBe("/never-the-first-time");
  });

  test("has its turn when those are answered that were cleared meanwhile, and they wait while it has", async () => {
    const slow: ServerResponse[] = [];
    const application: FakeApplication = await new FakeApplication((request, response) => {
      if (request.url === "/crash") setTimeout(() => application.end(), 20);
      else if (request.url === "/notes?slow") slow.push(response);
      else response.end("ok");
    }).start();
    const { front, url } = await frontOf(termOf(application));
    const lost = fetch(`${url}/notes?slow`);
    await until(() => slow.length === 1);
    expect(await word(fetch(`${url}/crash`))).toEqual([502, "unknown", "application-ended"]);
    expect(await word(lost)).toEqual([502, "unknown", "application-ended"]);
    await until(() => !application.isReady);
    await application.start();
    // Another with its path completes, so it is let through beside the turns.
    expect(await (await fetch(`${url}/notes`)).text()).toBe("ok");
    const again = fetch(`${url}/notes?slow`);
    await until(() => slow.length === 2);
    const crash = word(fetch(`${url}/crash`));
    await until(() => front.active === 2);
    slow[1]?.end("late");
    expect(await (await again).text()).toBe("late");
    await until(() => application.executed.at(-1) === "/crash");
    const meanwhile = fetch(`${url}/notes`);
    expect(await crash).toEqual([502, "unknown", "application-ended"]);
    await until(() => !application.isReady);
    await application.start();
    expect((await meanwhile).status).toBe(200);
    expect(application.executed.slice(2)).toEqual(["/notes", "/notes?slow", "/crash", "/notes"]);
  });

  test("costs two endings in all when twenty clients ask for it at once", async () => {
    const application: FakeApplication = await new FakeApplication(handle(() => application)).start();
    let endings = 0;
    application.endings.listen(() => (endings += 1));
    const { front, url } = await frontOf(termOf(application));
    application.pause();
    const askAll = (): Promise<unknown[]>[] => Array.from({ length: 20 }, () => word(fetch(`${url}/crash`)));
    const first = askAll();
    await until(() => front.active === 20);
    application.resume();
    expect((await Promise.all(first)).every(([status]) => status === 502)).toBe(true);
    // Their gateways repeat them, while it restarts.
    const again = askAll();
    await until(() => front.active === 20);
    await application.start();
    await until(() => endings === 2);
    await application.start();
    const words = (await Promise.all(again)).map(String).toSorted();
    expect(words).toEqual([
      "502,unknown,application-ended",
      ...Array<string>(19).fill("503,not-executed,suspect-request"),
    ]);
    expect(endings).toBe(2);
  });
});

describe("a drain", () => {
  const stream =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n";

  async function clientsOf(front: Front, count: number): Promise<RawClient[]> {
    const clients = await Promise.all(Array.from({ length: count }, () => RawClient.connect(front.port)));
    closers.push(() => clients.forEach((client) => client.destroy()));
    for (const client of clients) client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    for (const client of clients) await client.until((received) => received.includes("hello"));
    return clients;
  }

  test("does not wait for event streams that stand still, however many they are", async () => {
    const backend = await RawBackend.answering(stream);
    closers.push(() => backend.close());
    const { front } = await frontOf(termOf(backend.port));
    const clients = await clientsOf(front, 200);
    // Both times are far beyond what this test may take.
    expect(await front.drain({ drainMs: minute, streamsMs: minute })).toEqual({ cut: 0 });
    await Promise.all(clients.map((client) => client.untilEnd()));
  });

  test("ends streams after their time while it waits for an answer that has an end", async () => {
    const held: (() => void)[] = [];
    const backend = await RawBackend.listen((connection) => {
      if (!connection.received.endsWith("\r\n\r\n")) return;
      if (connection.received.includes("/events")) connection.socket.write(stream);
      else held.push(() => connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"));
      connection.received = "";
    });
    closers.push(() => backend.close());
    const { front, url } = await frontOf(termOf(backend.port));
    const [client] = await clientsOf(front, 1);
    const slow = fetch(`${url}/slow`);
    await until(() => held.length === 1);
    const drained = front.drain({ drainMs: minute, streamsMs: 20 });
    await client?.untilEnd();
    held[0]?.();
    expect(await (await slow).text()).toBe("slow");
    expect(await drained).toEqual({ cut: 0 });
  });

  test("leaves no idle connection to the application, which would wait for it when it stops", async () => {
    const application = await new FakeApplication((_request, response) => response.end("ok")).start();
    const { front, url } = await frontOf(termOf(application));
    await (await fetch(url)).text();
    await front.drain({ drainMs: minute, streamsMs: minute });
    expect(application.executed).toHaveLength(1);
    await application.closedByItself();
  });
});
