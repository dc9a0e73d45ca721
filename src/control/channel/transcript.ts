/**
 * The authenticated channel between the processes of a cluster: plain HTTP/1.1 in which both sides prove with codes
 * (HMAC-SHA256) that they have the cluster's secret, and never send it. This file has what the codes cover, and how
 * they are written into fields.
 *
 * A request carries in `Authorization` the id of the key, the cluster's name, caller and meant server (role and id),
 * the server's run and clock, a nonce, the digest of the body, and the code over these, method, path, and the fields
 * `content-type` and `stead-*`. An answer carries in `Stead-Channel` the server, its run and clock, and a code that
 * covers the request's code, the status and `content-type`; its body is in frames, each with a code (frames.ts).
 *
 * What an attacker on the network can do, and cannot:
 * - It cannot gain by listening at the address of a dead host: the calls contain nothing that is of use elsewhere, and
 *   an answer without the code of this very request is not believed. Codes of requests and answers have different keys,
 *   so an answer is no request, and a server cannot be made to answer to itself.
 * - It cannot change a call or an answer, cut a stream short, repeat or exchange its lines, or give the answer to
 *   another request: the codes do not fit. Each frame has its number.
 * - It cannot repeat a call. A server executes a call once: it keeps the nonces of the last 30 s, and older calls, and
 *   those to an earlier run of it, are outside. Time is the server's monotonic clock, which the client has learned from
 *   authenticated answers and carries on by its own: wall clocks are not used, so they may be wrong or jump.
 * - It cannot pass a call to another server than the one meant: a call names role and id. Where an id is not known (a
 *   command, a seed of the configuration) any server of that role answers, and says who it is.
 * - It can read everything: there is no confidentiality. It can delay and suppress, as any network: a call is valid
 *   for 30 s; orders have an age limit of their own.
 * - It can guess offline from what it has read, so the secret must be random: 16 characters of a person's choice are
 *   not enough, `stead init` makes 256 bits.
 *
 * Each process with the secret can speak as any other: roles and ids keep calls apart, they do not protect members of
 * the cluster from each other.
 *
 * The first call to a run of a server costs a second round trip: it names no run, is answered `again` with run and
 * clock, and is sent once more. Gateways read the status of all hosts all the time, so orders at a failover cost
 * nothing more. A round trip for a challenge in each call (as in HTTP Digest) would, and wall clocks with a window (AWS
 * SigV4, Hawk) would accept after a restart what was seen before it.
 *
 * A client never falls back to a bearer. Each part of what a code covers has its length before it: two different calls
 * never have the same text.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export const roles = ["gateway", "host", "operator"] as const;
export type Role = (typeof roles)[number];

/** One end of the channel. A host's id is `service/id`; an operator has none, and any of a role is `*`. */
export interface Party {
  readonly role: Role;
  readonly id: string;
}

export const anyOf = (role: Role): Party => ({ role, id: "*" });
export const hostParty = (service: string, id: string): Party => ({
  role: "host",
  id: `${escaped(service)}/${escaped(id)}`,
});

/** A row of a peer may name a host with any text: it must not end a field or begin another word. */
const escaped = (text: string): string =>
  text.replace(/[^\w.-]/gu, (character) => `%${Buffer.from(character).toString("hex")}`);
export const operator: Party = { role: "operator", id: "-" };

export const partyText = ({ role, id }: Party): string => `${role}:${id}`;

export function parseParty(text: string): Party | undefined {
  const at = text.indexOf(":");
  const role = roles.find((each) => each === text.slice(0, at));
  return role === undefined ? undefined : { role, id: text.slice(at + 1) };
}

/** True if a call to `asked` may be executed by `self`. */
export const isMeant = (asked: Party, self: Party): boolean =>
  asked.role === self.role && (asked.id === "*" || asked.id === self.id);

/** Name of the scheme in `Authorization`. */
export const scheme = "Stead-1";
/** The field of an answer in which the server proves itself. */
export const answerField = "stead-channel";

/** Field values as `name=value, …`; no value has a comma, a space or a line end. */
export const formatWords = (words: Readonly<Record<string, string>>): string =>
  Object.entries(words)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");

/** Undefined: one of `names` is missing, or there is a name twice. */
export function parseWords<Name extends string>(
  text: string,
  names: readonly Name[],
): Readonly<Record<Name, string>> | undefined {
  const words = new Map<string, string>();
  for (const word of text.split(", ")) {
    const at = word.indexOf("=");
    if (at < 1 || words.has(word.slice(0, at))) return undefined;
    words.set(word.slice(0, at), word.slice(at + 1));
  }
  if (names.some((name) => !words.has(name))) return undefined;
  return Object.fromEntries(names.map((name) => [name, words.get(name) ?? ""])) as Record<Name, string>;
}

/** Returns the fields of a head that the code covers: `content-type`, and all that begin with `stead-`. */
export const coveredFields = (fields: Iterable<readonly [string, string]>): string =>
  [...fields]
    .map(([name, value]) => [name.toLowerCase(), value.trim()] as const)
    .filter(([name]) => name === "content-type" || (name.startsWith("stead-") && name !== answerField))
    .map(([name, value]) => `${name}: ${value}`)
    .sort()
    .join("\n");

export const bodyDigest = (body: Uint8Array | string): string => createHash("sha256").update(body).digest("base64url");

/** Returns the code of `parts` under `key`; `purpose` keeps codes of one use from another. */
export function codeOf(key: Buffer, purpose: string, parts: readonly string[]): string {
  const hmac = createHmac("sha256", key);
  for (const part of [purpose, ...parts]) hmac.update(`${Buffer.byteLength(part)}:`).update(part);
  return hmac.digest("base64url");
}

/** Compares in constant time. */
export function isSame(presented: string, expected: string): boolean {
  const [a, b] = [Buffer.from(presented), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
