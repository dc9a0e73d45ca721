import { expect, test } from "bun:test";
import { HeaderList } from "../../../src/http/message/headers.ts";
import { RequestNamer } from "../../../src/http/proxy/request-namer.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import type { RequestHead } from "../../../src/http/upstream/exchange.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";

const request = (method: string): RequestHead => ({ method, target: "/", version: "1.1", headers: new HeaderList() });
const upstreamOf = (epoch?: number): Upstream =>
  new Upstream({ host: "127.0.0.1", port: 1, epoch, clock: systemClock });

test("a request keeps its name, and the position that was heard of before it was sent first", () => {
  const namer = new RequestNamer(systemRandom);
  const post = request("POST");
  const upstream = upstreamOf(4);
  upstream.logPosition = 30;
  const first = namer.nameRequest(post, upstream);
  expect(first).toMatchObject({ count: 1, after: 30, isAgain: false });
  upstream.logPosition = 40;
  expect(namer.nameRequest(post, upstream)).toEqual(first);
  namer.onLost(post);
  const next = upstreamOf(5);
  next.logPosition = 50;
  expect(namer.nameRequest(post, next)).toEqual({ ...first, isAgain: true } as typeof first);
});

test("no two requests have one name, nor two runs", () => {
  const [one, other] = [new RequestNamer(systemRandom), new RequestNamer(systemRandom)];
  const names = [one, one, other].map((namer) => namer.nameRequest(request("POST"), upstreamOf(4)));
  expect(new Set(names.map((named) => `${named?.run} ${named?.count}`)).size).toBe(3);
});

test("requests have no names while the setting says never, and keep those that they got before", () => {
  let isOn = true;
  const namer = new RequestNamer(systemRandom, () => isOn);
  const [before, later] = [request("POST"), request("POST")];
  const named = namer.nameRequest(before, upstreamOf(4));
  isOn = false;
  expect([namer.nameRequest(before, upstreamOf(4)), namer.nameRequest(later, upstreamOf(4))]).toEqual([
    named,
    undefined,
  ]);
});

test("what may be executed twice has no name, nor what goes to a plain host", () => {
  const namer = new RequestNamer(systemRandom);
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
    expect(namer.nameRequest(request(method), upstreamOf(4))).toBeUndefined();
  const post = request("POST");
  expect([namer.nameRequest(post, upstreamOf()), namer.isNamed(post)]).toEqual([undefined, false]);
  expect(namer.nameRequest(request("PATCH"), upstreamOf(4))).toBeDefined();
});
