/** What an authority may answer that Pebble does not: a stub that speaks RFC 8555 as far as the case needs. */
import { expect, test } from "bun:test";
import { verify, createPublicKey } from "node:crypto";
import { AccountKey } from "../../../src/gateway/acme/account-key.ts";
import type { AcmeAnswer, AcmeCall } from "../../../src/gateway/acme/acme-call.ts";
import { AcmeClient, AcmeError, type ChallengeAnswer } from "../../../src/gateway/acme/acme-client.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

const base = "https://ca.example";
const json = (status: number, body: object, headers: AcmeAnswer["headers"] = {}): AcmeAnswer => ({
  ...{ status, body: JSON.stringify(body) },
  headers: { "replay-nonce": `n${Math.random()}`, ...headers },
});
const problem = (status: number, type: string, headers: AcmeAnswer["headers"] = {}): AcmeAnswer =>
  json(status, { type: `urn:ietf:params:acme:error:${type}`, detail: "in its own words" }, headers);

interface Asked {
  readonly url: string;
  readonly protected: { readonly nonce?: string; readonly kid?: string; readonly jwk?: object; readonly url?: string };
  readonly payload: unknown;
}

const usual: Readonly<Record<string, () => AcmeAnswer>> = {
  "/dir": () => json(200, { newNonce: `${base}/nonce`, newAccount: `${base}/account`, newOrder: `${base}/order` }),
  "/nonce": () => json(200, {}),
  "/account": () => json(201, {}, { location: `${base}/account/1` }),
  "/order": () =>
    json(
      201,
      { status: "pending", authorizations: [`${base}/authz`], finalize: `${base}/finalize` },
      { location: `${base}/order/1` },
    ),
  "/authz": () =>
    json(200, {
      status: "pending",
      identifier: { type: "dns", value: "notes.example" },
      challenges: [{ type: "dns-01", url: `${base}/other`, token: "no" }],
    }),
};

function clientOf(answers: Readonly<Record<string, () => AcmeAnswer>>): { client: AcmeClient; asked: Asked[] } {
  const asked: Asked[] = [];
  const call: AcmeCall = async (url, { body }) => {
    const { protected: head = "", payload = "" } = JSON.parse(body ?? "{}") as { protected?: string; payload?: string };
    const decoded = (text: string): never => JSON.parse(Buffer.from(text, "base64url").toString() || "{}") as never;
    asked.push({ url, protected: decoded(head), payload: decoded(payload) });
    const answer = answers[url.slice(base.length)] ?? usual[url.slice(base.length)];
    if (answer === undefined) throw new Error(`nothing at ${url}`);
    return answer();
  };
  const key = new AccountKey(AccountKey.generate());
  const options = { directory: `${base}/dir`, key, email: "ops@notes.example", challenge: "http-01" as const };
  return { client: new AcmeClient({ ...options, call, clock: systemClock }), asked };
}

const steps = { publish: () => Promise.resolve(), withdraw: () => undefined };

async function refusal(answers: Readonly<Record<string, () => AcmeAnswer>>): Promise<AcmeError> {
  const { client } = clientOf(answers);
  const error = await client.order(["notes.example"], steps, new AbortController().signal).catch((e: unknown) => e);
  if (!(error instanceof AcmeError)) throw new Error(`no AcmeError: ${String(error)}`);
  return error;
}

test("a rate limit is told with the authority's words and the time that it asks for", async () => {
  const seconds = await refusal({ "/order": () => problem(429, "rateLimited", { "retry-after": "3600" }) });
  expect([seconds.problem, seconds.retryAfterMs]).toEqual(["rateLimited", 3_600_000]);
  expect(seconds.message).toContain("in its own words");
  const date = new Date(Date.now() + 7_200_000).toUTCString();
  const dated = await refusal({ "/order": () => problem(503, "serverInternal", { "retry-after": date }) });
  expect(Math.round((dated.retryAfterMs ?? 0) / 600_000)).toBe(12);
});

test("a request whose nonce is refused is made again with the one of the refusal, not without end", async () => {
  let refusals = 2;
  const { client, asked } = clientOf({
    "/account": () =>
      refusals-- > 0
        ? problem(400, "badNonce", { "replay-nonce": `fresh${refusals}` })
        : (usual["/account"]?.() as never),
  });
  await client.order(["notes.example"], steps, new AbortController().signal).catch(() => undefined);
  const nonces = asked.filter(({ url }) => url.endsWith("/account")).map(({ protected: { nonce } }) => nonce);
  expect(nonces.slice(1)).toEqual(["fresh1", "fresh0"]);
  expect((await refusal({ "/account": () => problem(400, "badNonce") })).problem).toBe("badNonce");
});

test("requests name the account once it is known, and their own address", async () => {
  const { client, asked } = clientOf({});
  await client.order(["notes.example"], steps, new AbortController().signal).catch(() => undefined);
  const [account, order] = ["/account", "/order"].map((path) => asked.find(({ url }) => url === `${base}${path}`));
  expect(account?.payload).toEqual({ termsOfServiceAgreed: true, contact: ["mailto:ops@notes.example"] });
  expect(account?.protected).toMatchObject({ jwk: { kty: "EC" }, url: `${base}/account` });
  expect(order?.protected).toMatchObject({ kid: `${base}/account/1`, url: `${base}/order` });
  expect(order?.payload).toEqual({ identifiers: [{ type: "dns", value: "notes.example" }] });
});

test("an authority without the challenge, with an answer that is none, or without an answer is refused in words", async () => {
  expect((await refusal({})).message).toContain("no http-01 for notes.example, only dns-01");
  expect((await refusal({ "/order": () => ({ status: 200, headers: {}, body: "<html>" }) })).message).toContain(
    "order",
  );
  expect((await refusal({ "/dir": () => json(200, { newNonce: "http://plain" }) })).message).toContain("directory");
  expect((await refusal({ "/order": () => ({ status: 502, headers: {}, body: "" }) })).message).toContain("502");
  const silent = await refusal({
    "/order": () => {
      throw new Error("ECONNREFUSED");
    },
  });
  expect(silent.message).toBe("no answer from ca.example: ECONNREFUSED");
});

test("answers are withdrawn also when the authority refuses them", async () => {
  const withdrawn: ChallengeAnswer[] = [];
  const { client } = clientOf({
    "/authz": () =>
      json(200, {
        status: "pending",
        identifier: { type: "dns", value: "notes.example" },
        challenges: [{ type: "http-01", url: `${base}/ready`, token: "abc" }],
      }),
    "/ready": () => problem(403, "unauthorized"),
  });
  const keep = {
    publish: steps.publish,
    withdraw: (answers: readonly ChallengeAnswer[]) => withdrawn.push(...answers),
  };
  await client.order(["notes.example"], keep, new AbortController().signal).catch(() => undefined);
  expect(withdrawn.map(({ token }) => token)).toEqual(["abc"]);
});

test("signatures are the account's, in the form of JWS", () => {
  const pem = AccountKey.generate();
  const {
    protected: head,
    payload,
    signature,
  } = JSON.parse(new AccountKey(pem).signed(`${base}/x`, "n", { a: 1 }, undefined)) as Record<
    "protected" | "payload" | "signature",
    string
  >;
  const key = { key: createPublicKey(pem), dsaEncoding: "ieee-p1363" } as const;
  expect(verify("sha256", Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, "base64url"))).toBe(true);
  expect(() => new AccountKey("no key")).toThrow();
});
