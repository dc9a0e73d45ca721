/**
 * Readiness: whether the application accepts requests, and at which of the two loopback addresses.
 *
 * An application that listens on "localhost" may mean 127.0.0.1 or ::1. The second address is tried only if the first
 * refuses the connection, so that an application on both is asked once. Traffic goes to the address that answered. If
 * none does, the reason lists the addresses, their answers, and where the application listens instead.
 */
import { request } from "node:http";
import { connect } from "node:net";
import type { Clock } from "../../runtime/clock.ts";

export const loopbacks = ["127.0.0.1", "::1"] as const;
export type Loopback = (typeof loopbacks)[number];

/** The result of one look at one address. `absent`: nothing listens there. */
export type Look =
  | { readonly kind: "well" }
  | { readonly kind: "absent"; readonly what: string }
  | { readonly kind: "bad"; readonly what: string };

export interface ReadinessOptions {
  readonly port: number;
  /** Ready if it answers 2xx or 3xx; undefined: if the port accepts a connection. */
  readonly path: string | undefined;
  readonly timeoutMs: number;
  /** Asked in this order. */
  readonly addresses: readonly Loopback[];
  readonly clock: Clock;
  /** Addresses with ports where the application listens now; undefined: unknown. */
  readonly listening: () => readonly string[] | undefined;
  /** Called with the reason if it takes long. */
  readonly onWarning: (text: string) => void;
}

export type ReadinessEnd =
  | { readonly kind: "ready"; readonly address: Loopback }
  | { readonly kind: "timeout"; readonly reason: string };

/** Pause between two looks: clients wait as long as readiness goes unnoticed. */
const readyLookMs = { least: 4, most: 50 } as const;
/** The pause within these bounds, as a share of the time so far: readiness is noticed at most a twentieth late. */
const readyLookShare = 0.05;
/** Limit for one answer. */
const answerMsMax = 1_000;
/**
 * An application that listens elsewhere is reported after this; one that listens nowhere yet may just be slow to start.
 */
const explainAfterMs = { elsewhere: 3_000, nowhere: 10_000 } as const;

export async function becomesReady(options: ReadinessOptions, signal: AbortSignal): Promise<ReadinessEnd> {
  const { clock, timeoutMs, onWarning } = options;
  const startedAt = clock.now();
  const explanation = new Explanation(options);
  let isListening = options.path === undefined;
  while (!signal.aborted) {
    // While nothing listens a request shows no more than a connection, and takes several times the CPU time, which the
    // start itself needs.
    let found = await lookAround(isListening ? options : { ...options, path: undefined }, signal);
    if (!isListening && found.address !== undefined) {
      isListening = true;
      found = await lookAround(options, signal);
    }
    if (found.address !== undefined) return { kind: "ready", address: found.address };
    const elapsedMs = clock.now() - startedAt;
    if (elapsedMs > timeoutMs)
      return { kind: "timeout", reason: `${describeReady(options)}; found: ${found.what}${explanation.now()}` };
    const early = explanation.early(elapsedMs);
    if (early !== undefined) onWarning(early);
    await clock
      .sleep(Math.min(Math.max(elapsedMs * readyLookShare, readyLookMs.least), readyLookMs.most), signal)
      .catch(() => undefined);
  }
  return { kind: "timeout", reason: "the wait was given up" };
}

async function lookAround(
  { addresses, port, path }: ReadinessOptions,
  signal: AbortSignal,
): Promise<{ address: Loopback | undefined; what: string }> {
  const found: string[] = [];
  for (const address of addresses) {
    const look = await lookAt(address, port, path, signal);
    if (look.kind === "well") return { address, what: "" };
    found.push(`${formatPort(address, port)} ${look.what}`);
    if (look.kind === "bad") break;
  }
  return { address: undefined, what: found.join(", ") };
}

/** One look. `timeoutMs` bounds the answer. */
export function lookAt(
  address: Loopback,
  port: number,
  path: string | undefined,
  signal: AbortSignal,
  timeoutMs = answerMsMax,
): Promise<Look> {
  return path === undefined ? connects(address, port, timeoutMs) : answersWell(address, port, path, signal, timeoutMs);
}

function connects(host: Loopback, port: number, timeout: number): Promise<Look> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout });
    const settle = (look: Look): void => {
      socket.destroy();
      resolve(look);
    };
    socket.once("connect", () => settle({ kind: "well" }));
    socket.once("timeout", () => settle({ kind: "bad", what: `accepted no connection within ${timeout} ms` }));
    socket.once("error", (error) => settle(fromError(error)));
  });
}

function answersWell(host: Loopback, port: number, path: string, signal: AbortSignal, timeout: number): Promise<Look> {
  return new Promise((resolve) => {
    const asked = request(
      { host, port, path, signal, agent: false, timeout, headers: { connection: "close" } },
      (answer) => {
        answer.resume();
        const status = answer.statusCode ?? 0;
        resolve(status >= 200 && status < 400 ? { kind: "well" } : { kind: "bad", what: `answered ${status}` });
      },
    );
    asked.once("timeout", () => {
      resolve({ kind: "bad", what: `did not answer within ${timeout} ms` });
      asked.destroy();
    });
    asked.once("error", (error) => resolve(fromError(error)));
    asked.once("close", () => resolve({ kind: "bad", what: "closed the connection without an answer" }));
    asked.end();
  });
}

/** Errors of `connect` that mean that nothing listens; without IPv6 the second address does not exist. */
const absence: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refused the connection",
  EADDRNOTAVAIL: "does not exist here",
  EAFNOSUPPORT: "does not exist here",
  ENETUNREACH: "does not exist here",
};

function fromError(error: Error): Look {
  // For some refused connections Bun has the code only in the message.
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const what = absence[code] ?? (code === "ConnectionRefused" ? absence["ECONNREFUSED"] : undefined);
  return what === undefined ? { kind: "bad", what: `failed (${code || error.message})` } : { kind: "absent", what };
}

/** Explains where the application listens instead; warns at most once for each finding. */
class Explanation {
  readonly #options: ReadinessOptions;
  #nextLookMs: number = explainAfterMs.elsewhere;
  #isSaidElsewhere = false;
  #isSaidNowhere = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** For the end of a reason; empty if unknown, or if it listens where it should. */
  now(): string {
    const where = this.#where();
    return where === undefined ? "" : `; ${where.text}`;
  }

  early(elapsedMs: number): string | undefined {
    if (elapsedMs < this.#nextLookMs) return undefined;
    this.#nextLookMs += explainAfterMs.elsewhere;
    const where = this.#where();
    if (where === undefined) return undefined;
    const isDue = where.isElsewhere
      ? !this.#isSaidElsewhere
      : !this.#isSaidNowhere && elapsedMs >= explainAfterMs.nowhere;
    if (!isDue) return undefined;
    if (where.isElsewhere) this.#isSaidElsewhere = true;
    else this.#isSaidNowhere = true;
    return `the application is not ready after ${Math.round(elapsedMs)} ms: ${where.text}`;
  }

  #where(): { text: string; isElsewhere: boolean } | undefined {
    const { listening, port } = this.#options;
    const addresses = listening();
    if (addresses === undefined || addresses.some((address) => address.endsWith(`:${port}`))) return undefined;
    if (addresses.length === 0) return { text: "it listens on no port", isElsewhere: false };
    const advice =
      "it must listen on the port in the environment variable PORT (`port` in [host.application] gives it a fixed one)";
    return { text: `it listens on ${addresses.join(", ")}, not on PORT ${port}: ${advice}`, isElsewhere: true };
  }
}

function describeReady({ addresses, port, path }: ReadinessOptions): string {
  const where = addresses.map((address) => formatPort(address, port)).join(" or ");
  return path === undefined
    ? `ready is: ${where} accepts a connection`
    : `ready is: GET ${path} at ${where} answers 2xx or 3xx`;
}

const formatPort = (address: Loopback, port: number): string =>
  `${address.includes(":") ? `[${address}]` : address}:${port}`;
