import { expect, test } from "bun:test";
import { HeaderList } from "../../../src/http/message/headers.ts";
import { RequestNamer } from "../../../src/http/proxy/request-namer.ts";
import { type HeardOfHost, Upstream } from "../../../src/http/upstream/upstream.ts";
import type { RequestHead } from "../../../src/http/upstream/exchange.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";

const request = (method: string): RequestHead => ({ method, target: "/", version: "1.1", headers: new HeaderList() });
function upstreamOf(epoch?: number, heard: Partial<HeardOfHost> = {}): Upstream {
  const upstream = new Upstream({ host: "127.0.0.1", port: 1, epoch, clock: systemClock });
  upstream.heard = { position: 0, vault: "v", takesNames: true, ...heard };
  return upstream;
}

test("a request keeps its name, and the position that was heard of before it was sent first", () => {
  const namer = new RequestNamer(systemRandom);
  const post = request("POST");
  const first = namer.nameRequest(post, upstreamOf(4, { position: 30 }));
  expect(first).toMatchObject({ count: 1, after: 30, isAgain: false });
  expect(namer.nameRequest(post, upstreamOf(4, { position: 40 }))).toEqual(first);
  namer.onLost(post);
  expect(namer.nameRequest(post, upstreamOf(5, { position: 50 }))).toEqual({ ...first, isAgain: true } as typeof first);
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

test("a host whose version takes no names gets none, but for those of a key, which it refuses", () => {
  const namer = new RequestNamer(
    systemRandom,
    () => true,
    () => true,
  );
  const earlier = upstreamOf(4, { takesNames: false });
  const keyed = { ...request("POST"), headers: HeaderList.from([["Idempotency-Key", "a"]]) };
  expect([namer.nameRequest(request("POST"), earlier), namer.nameRequest(keyed, earlier)?.isKeyed]).toEqual([
    undefined,
    true,
  ]);
});

test.each([
  ["that knows names, of the same vault", {}, undefined],
  ["of a version that knows none", { takesNames: false }, "the next primary is of a version that knows no names"],
  ["of another vault", { vault: "copy" }, "the next primary has another vault"],
])("a lost request and a primary %s", (_, heard, why) => {
  const namer = new RequestNamer(systemRandom);
  const post = request("POST");
  namer.nameRequest(post, upstreamOf(4));
  expect(namer.whyNotAgain(post, upstreamOf(4, heard))).toBeUndefined();
  namer.onLost(post);
  const said = namer.whyNotAgain(post, upstreamOf(5, heard));
  if (why === undefined) expect(said).toBeUndefined();
  else expect(said).toContain(why);
});
