/**
 * Limits guesses of a secret or token per address: after `guessesMax` wrong ones, bearers from there are refused
 * unread, one more is judged per `guessEveryMs`, and the log says so once per interval.
 *
 * Requests of the channel are always judged. Guessing there gains nothing over trying offline, and processes of the
 * cluster share an address with who may want to keep them out: an application on the same machine must not be able to
 * make its gateway deaf.
 */
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { scheme } from "../channel/transcript.ts";
import { ApiRefusal } from "./refusal.ts";

const guessesMax = 20;
const guessEveryMs = 1_000;
const logEveryMs = 60_000;
const addressesMax = 1_000;

interface Guesses {
  /** Wrong ones that count at `at`; each is forgotten after `guessEveryMs`. */
  count: number;
  at: number;
  /** Wrong ones since the log was told. */
  untold: number;
  toldAt: number;
}

export interface GuessLimitOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Where a request comes from; undefined: not from the network. */
  readonly addressOf?: (c: Context) => string | undefined;
}

/** Mount it before what judges credentials. */
export function limitGuesses({ clock, log, addressOf = remoteAddress }: GuessLimitOptions): MiddlewareHandler {
  const known = new Map<string, Guesses>();
  return async function judgeGuesses(c, next) {
    const address = addressOf(c);
    const authorization = c.req.header("authorization") ?? "";
    if (address === undefined || authorization === "") return next();
    const guesses = known.get(address);
    if (guesses !== undefined) forget(guesses, clock.now());
    const isChannel = authorization.startsWith(`${scheme} `);
    if (!isChannel && guesses !== undefined && guesses.count >= guessesMax) {
      tell(address, guesses);
      throw tooMany(c);
    }
    await next();
    // An answer that proves this server was asked for by a member of the cluster.
    if (c.res.status !== 401 || c.res.headers.has("stead-channel")) return;
    const wrong = guesses ?? { count: 0, at: clock.now(), untold: 0, toldAt: -Infinity };
    wrong.count = Math.min(guessesMax, wrong.count + 1);
    known.delete(address);
    known.set(address, wrong);
    const [oldest] = known.keys();
    if (known.size > addressesMax && oldest !== undefined) known.delete(oldest);
    tell(address, wrong, c.error instanceof ApiRefusal ? c.error.found : undefined);
  };

  function tell(address: string, guesses: Guesses, why = "too many of them"): void {
    guesses.untold += 1;
    if (clock.now() - guesses.toldAt < logEveryMs) return;
    log.warn("refused credentials", { address, count: guesses.untold, why });
    guesses.untold = 0;
    guesses.toldAt = clock.now();
  }
}

function forget(guesses: Guesses, now: number): void {
  const forgotten = Math.floor((now - guesses.at) / guessEveryMs);
  guesses.count = Math.max(0, guesses.count - forgotten);
  guesses.at = guesses.count === 0 ? now : guesses.at + forgotten * guessEveryMs;
}

function tooMany(c: Context): ApiRefusal {
  c.header("retry-after", "1");
  return new ApiRefusal("too-many-attempts", {
    found: "too many wrong credentials from this address",
    advice: "try again in a second, with the right one",
  });
}

/** One client can have all addresses of an IPv6 network of 64 bits. */
function remoteAddress(c: Context): string | undefined {
  if (typeof c.env !== "object" || c.env === null || !("incoming" in c.env)) return undefined;
  const { address } = getConnInfo(c).remote;
  if (address === undefined) return undefined;
  const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
  return plain.includes(":") ? plain.split(":").slice(0, 4).join(":") : plain;
}
