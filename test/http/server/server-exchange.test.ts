/** Bodies that are too long for the memory, over real sockets; short ones are in server.test.ts. */
import { expect, test } from "bun:test";
import { RequestNamer } from "../../../src/http/proxy/request-namer.ts";
import { spoolBlockBytes } from "../../../src/http/spool/spooled-body.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { oneService, type OneService } from "../../support/http/one-service.ts";
import type { BackendConnection, RawBackend } from "../../support/http/raw-backend.ts";
import { type RawClient, waitFor } from "../../support/http/raw-client.ts";
import { bodyOf, type SpoolFixture, spoolFixture } from "../../support/http/spool.ts";

const MiB = 2 ** 20;
const ok = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
const headOf = (bytes: number): string => `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`;

const serviceWith = ({ spool }: SpoolFixture, options: { againMax?: number } = {}): Promise<OneService> =>
  oneService({ namer: new RequestNamer(systemRandom), server: { spool }, ...options });

/** Bytes of the body that the last connection got. */
const arrivedAt = ({ connections }: RawBackend): number => {
  const received = connections.at(-1)?.received ?? "";
  return received.includes("\r\n\r\n") ? received.length - received.indexOf("\r\n\r\n") - 4 : 0;
};

/** Answers a whole body of that length. */
const answering = (bytes: number) => (connection: BackendConnection) => {
  if (connection.received.length - connection.received.indexOf("\r\n\r\n") - 4 === bytes) connection.socket.write(ok);
};

function send(client: RawClient, ...parts: readonly (Buffer | string)[]): void {
  for (const part of parts) client.socket.write(part);
}

const bodyAt = ({ connections }: RawBackend): Buffer => {
  const received = connections.at(-1)?.received ?? "";
  return Buffer.from(received.slice(received.indexOf("\r\n\r\n") + 4), "latin1");
};

async function expectNothingLeft(g: OneService, { spool }: SpoolFixture): Promise<void> {
  await waitFor(() => spool.bytes === 0 && g.server.keptBytes.total === 0);
}

test("a POST with a long body whose primary died before it answered is sent again, the same bytes", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture);
  const content = bodyOf(4 * MiB + 13);
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  const client = await g.client();
  send(client, headOf(content.length), content);
  await waitFor(() => arrivedAt(first) === content.length);
  await waitFor(() => g.server.keptBytes.total <= spoolBlockBytes);
  g.stop();
  await waitFor(() => g.errors.length === 1);
  const second = await g.backend(answering(content.length));
  g.serve(second, 2);
  expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
  expect(bodyAt(second).equals(content)).toBe(true);
  expect(second.connections[0]?.received).toMatch(/Stead-Request: [^\r]*\r\n/i);
  expect([g.ends, fixture.results]).toEqual([["ok held replayed 1"], ["kept"]]);
  await expectNothingLeft(g, fixture);
});

test("one that was still arriving is sent from its start, and continues with what the client sends then", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture);
  const content = bodyOf(6 * MiB);
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  const client = await g.client();
  send(client, headOf(content.length), content.subarray(0, 3 * MiB + 7));
  await waitFor(() => arrivedAt(first) === 3 * MiB + 7);
  g.stop();
  await waitFor(() => g.errors.length === 1);
  // Nothing more is read from the client while there is no primary.
  send(client, content.subarray(3 * MiB + 7, 4 * MiB));
  const second = await g.backend(answering(content.length));
  g.serve(second, 2);
  await waitFor(() => arrivedAt(second) === 4 * MiB);
  send(client, content.subarray(4 * MiB));
  expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
  expect(bodyAt(second).equals(content)).toBe(true);
  await expectNothingLeft(g, fixture);
});

test("a chunked body comes again with its end and its trailers, also a second time", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture, { againMax: 2 });
  const content = bodyOf(MiB + 100);
  const isWhole = (backend: RawBackend): boolean =>
    backend.connections.at(-1)?.received.endsWith("0\r\nX-Sum: 7\r\n\r\n") === true;
  const client = await g.client();
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  send(client, "PUT /x HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (let at = 0; at < content.length; at += 100_000) {
    const part = content.subarray(at, at + 100_000);
    send(client, `${part.length.toString(16)}\r\n`, part, "\r\n");
  }
  send(client, "0\r\nX-Sum: 7\r\n\r\n");
  await waitFor(() => isWhole(first));
  const second = await g.backend(() => undefined);
  g.serve(second, 2);
  await waitFor(() => isWhole(second));
  const third = await g.backend((c) => void (c.received.endsWith("7\r\n\r\n") && c.socket.write(ok)));
  g.serve(third, 3);
  expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
  for (const backend of [first, second, third]) expect(unchunked(bodyAt(backend)).equals(content)).toBe(true);
  expect(g.ends).toEqual(["ok held replayed 2"]);
  await expectNothingLeft(g, fixture);
});

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (!(length > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 4 + length;
  }
}

test("an upstream that stops reading for a while gets the body whole the second time", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture);
  const content = bodyOf(5 * MiB);
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  const client = await g.client();
  send(client, headOf(content.length), content);
  await waitFor(() => arrivedAt(first) === content.length);
  g.stop();
  let pauses = 0;
  const second = await g.backend((c) => {
    answering(content.length)(c);
    if (c.received.length < pauses * MiB) return;
    pauses += 1;
    c.socket.pause();
    setTimeout(() => c.socket.resume(), 20);
  });
  g.serve(second, 2);
  await waitFor(
    () => client.received === ok,
    () => `received ${client.received}; ${arrivedAt(second)} arrived`,
    20_000,
  );
  expect(bodyAt(second).equals(content)).toBe(true);
  await expectNothingLeft(g, fixture);
});

test("an answer that comes before the body has been sent again is passed on, and the rest of the body follows", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture);
  const content = bodyOf(3 * MiB);
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  const client = await g.client();
  send(client, headOf(content.length), content.subarray(0, 2 * MiB));
  await waitFor(() => arrivedAt(first) === 2 * MiB);
  g.stop();
  let isAnswered = false;
  const second = await g.backend((c) => {
    if (!isAnswered) c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    isAnswered = true;
    if (arrivedAt(second) === content.length) c.socket.write("ok");
  });
  g.serve(second, 2);
  await client.until((r) => r.endsWith("\r\nok"));
  await waitFor(() => arrivedAt(second) === 2 * MiB);
  expect(fixture.results).toEqual(["kept"]);
  send(client, content.subarray(2 * MiB));
  await client.until((r) => r.endsWith("okok"));
  expect(bodyAt(second).equals(content)).toBe(true);
  await expectNothingLeft(g, fixture);
});

test("a client that is gone, and an upstream that is lost in the middle of the second try, leave nothing behind", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture);
  const content = bodyOf(2 * MiB);
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  const [gone, lost] = [await g.client(), await g.client()];
  for (const client of [gone, lost]) send(client, headOf(content.length), content);
  await waitFor(() => first.connections.filter(({ received }) => received.length > content.length).length === 2);
  gone.socket.resetAndDestroy();
  await waitFor(() => fixture.results.length === 1);
  const second = await g.backend((c) => void (c.received.length > 100_000 && c.socket.destroy()));
  g.serve(second, 2);
  await lost.until((r) => r.includes("\r\n\r\n"));
  expect(lost.received).toStartWith("HTTP/1.1 502 ");
  expect(lost.received.toLowerCase()).toContain("stead-outcome: unknown");
  await expectNothingLeft(g, fixture);
});

test("without room a long body goes to the host as it arrives, and a lost one gets 502", async () => {
  using fixture = spoolFixture({ bytesMax: MiB });
  await using g = await serviceWith(fixture);
  const content = bodyOf(2 * MiB);
  const first = await g.backend(() => undefined);
  g.serve(first, 1);
  const client = await g.client();
  send(client, headOf(content.length), content);
  await waitFor(() => arrivedAt(first) === content.length);
  expect([bodyAt(first).equals(content), fixture.results, g.server.keptBytes.total]).toEqual([true, ["full"], 0]);
  g.stop();
  await client.until((r) => r.includes("\r\n\r\n"));
  expect(client.received).toStartWith("HTTP/1.1 502 ");
});

test("a body that is not longer than what is kept in memory never goes to a file", async () => {
  using fixture = spoolFixture();
  await using g = await serviceWith(fixture);
  const content = bodyOf(256 * 1024);
  g.serve(await g.backend(answering(content.length)), 1);
  const client = await g.client();
  send(client, headOf(content.length), content);
  await client.until((r) => r.endsWith("ok"));
  expect(fixture.results).toEqual([]);
});
