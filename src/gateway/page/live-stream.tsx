/** @jsxImportSource hono/jsx */
/**
 * The stream of a view (server-sent events): the view as text whenever it has changed, until the visitor leaves or the
 * API refuses the token. Each stream renders its own view at each look, so their number is bounded, and so is the time
 * that all of them take from the gateway.
 */
import type { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import type { Child } from "hono/jsx";
import type { Clock } from "../../runtime/clock.ts";
import { type Answers, localPath, pageHeaders, type Visit, written } from "./answers.tsx";
import { CallRefused } from "./api-calls.ts";
import type { View } from "./layout.tsx";

/** Streams that are open at once; more are refused with 503, and those views stand still. */
export const liveStreamsMax = 64;
const lookEveryMs = 400;
/** Views that ask the database, or a host for what is in the vault, look less often. */
const lookElsewhereEveryMs = 2_000;
/** The part of one core that all looks together take at most: with more streams, each of them looks less often. */
const shareMax = 0.1;
/** Proxies end a stream that says nothing. */
const heartbeatMs = 15_000;

/** Returns the view at an address; undefined: there is none. */
export type Render = (visit: Visit, url: URL) => Promise<View | undefined>;

type Send = (event: string, data: string) => Promise<void>;

export function addLiveStream(app: Hono, answers: Answers, render: Render, clock: Clock): void {
  let open = 0;
  app.get("/live", (c) => {
    const visit = answers.visitOf(c);
    if (visit === undefined) return c.body(null, 401, pageHeaders);
    if (open >= liveStreamsMax) return c.body(null, 503, pageHeaders);
    open += 1;
    for (const [name, value] of Object.entries(pageHeaders)) c.header(name, value);
    const url = new URL(localPath(c.req.query("path")), "http://page");
    return streamSSE(c, async (stream) => {
      const left = new AbortController();
      stream.onAbort(() => left.abort(new Error("the visitor left")));
      try {
        await sendChanges(() => render(visit, url), {
          clock,
          pauseMs: (tookMs) =>
            Math.max(asksElsewhere(url.pathname) ? lookElsewhereEveryMs : lookEveryMs, (tookMs * open) / shareMax),
          signal: left.signal,
          send: (event, data) => stream.writeSSE({ event, data }),
        });
      } catch (error) {
        if (!left.signal.aborted && !(error instanceof CallRefused)) throw error;
        await stream.writeSSE({ event: "ended", data: "" });
      } finally {
        open -= 1;
      }
    });
  });
}

interface Following {
  readonly clock: Clock;
  /** After a look that took so long. */
  readonly pauseMs: (tookMs: number) => number;
  readonly signal: AbortSignal;
  readonly send: Send;
}

async function sendChanges(
  look: () => Promise<View | undefined>,
  { clock, pauseMs, signal, send }: Following,
): Promise<void> {
  let last: string | undefined;
  let toldAt = clock.now();
  while (!signal.aborted) {
    const lookedAt = clock.now();
    const view = await look();
    const text = view === undefined ? "" : textOf(view.body);
    const tookMs = clock.now() - lookedAt;
    const isNew = text !== last;
    if (isNew || clock.now() - toldAt >= heartbeatMs) {
      await send(isNew ? "view" : "same", isNew ? text : "");
      last = text;
      toldAt = clock.now();
    }
    await clock.sleep(pauseMs(tookMs), signal);
  }
}

const asksElsewhere = (path: string): boolean =>
  path === "/events" || path === "/data" || path.startsWith("/failovers/");

const textOf = (body: Child): string => written(<>{body}</>);
