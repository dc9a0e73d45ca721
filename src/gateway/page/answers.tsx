/** @jsxImportSource hono/jsx */
/**
 * What the page's paths have in common: who visits, the answers that a browser gets, and the fields that go with each
 * of them.
 */
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { TokenPrincipal } from "../../control/server/authentication.ts";
import { ApiCalls, type ApiFetch } from "./api-calls.ts";
import { Document, RefusedView, SignIn, type View, type Visitor } from "./layout.tsx";
import { isCrossSite, type Sessions } from "./session.ts";

/** A signed-in visitor and the calls in their name. */
export interface Visit {
  readonly api: ApiCalls;
  readonly visitor: Visitor;
}

/** The longest form: a statement of SQL goes in the address, so forms are short. */
const formBytesMax = 16 * 1024;

export const pageHeaders: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

export interface AnswersOptions {
  readonly gateway: string;
  readonly api: ApiFetch;
  /** The holder of a valid token; it decides only what is shown. */
  readonly holderOf: (token: string) => TokenPrincipal | undefined;
}

export class Answers {
  readonly #options: AnswersOptions;
  readonly sessions: Sessions;

  constructor(options: AnswersOptions, sessions: Sessions) {
    this.#options = options;
    this.sessions = sessions;
  }

  /** Undefined: the request has no valid token. */
  visitOf(c: Context): Visit | undefined {
    const token = this.sessions.tokenOf(c);
    const holder = token === undefined ? undefined : this.#options.holderOf(token);
    if (token === undefined || holder === undefined) return undefined;
    const visitor = { name: holder.name, role: holder.role, proof: this.sessions.proofOf(token) };
    return { api: this.callsOf(c, token), visitor };
  }

  callsOf(c: Context, token: string): ApiCalls {
    return new ApiCalls(this.#options.api, token, c.env as object);
  }

  /** True if the request is of a form that this page made for this visitor. */
  isOwnForm(c: Context, form: Readonly<Record<string, unknown>>): boolean {
    const token = this.sessions.tokenOf(c);
    return token !== undefined && !isCrossSite(c) && this.sessions.isProof(token, form["proof"]);
  }

  document(c: Context, visit: Visit, view: View, status: 200 | 403 | 404 | 409 = 200): Response {
    const live =
      view.isLive && c.req.method === "GET"
        ? `/live?${new URLSearchParams({ path: addressIn(c) }).toString()}`
        : undefined;
    const { gateway } = this.#options;
    return html(c, <Document gateway={gateway} view={view} visitor={visit.visitor} live={live} />, status);
  }

  missing(c: Context, visit: Visit): Response {
    const body = <RefusedView title="Not here" found={`nothing at ${addressIn(c)}`} advice="choose a view above" />;
    return this.document(c, visit, { title: "Not here", entry: "", isLive: false, body }, 404);
  }

  forbidden(c: Context, visit: Visit): Response {
    const title = "Not with this role";
    const { name, role } = visit.visitor;
    const found = `the token "${name}" has the role ${role}`;
    const advice = "sign in with a token of that role (`stead token add NAME --role operator`)";
    const body = <RefusedView title={title} found={found} accepted="operator or admin" advice={advice} />;
    return this.document(c, visit, { title, entry: "/", isLive: false, body }, 403);
  }
}

/** Returns the markup of an element without parts that are awaited, which no view has. */
export const written = (node: { toString(): string }): string => node.toString();

const html = (c: Context, node: { toString(): string }, status: 200 | 401 | 403 | 404 | 409): Response =>
  c.body(`<!doctype html>${written(node)}`, status, { ...pageHeaders, "content-type": "text/html; charset=utf-8" });

export const signIn = (c: Context, next: string, refused?: string): Response =>
  html(c, <SignIn refused={refused} next={next} />, 401);

const notOwnForm = "the form is not one of this page, or of an earlier run of the gateway: sign in again";

export const forged = (c: Context): Response => html(c, <SignIn refused={notOwnForm} next="/" />, 403);

/** The answer to a form: the browser asks for the view with GET. */
export function redirect(c: Context, path: string): Response {
  for (const [name, value] of Object.entries(pageHeaders)) c.header(name, value);
  return c.redirect(path, 303);
}

export const asset = (c: Context, text: string, type: string): Response =>
  c.body(text, 200, { ...pageHeaders, "content-type": `${type}; charset=utf-8`, "cache-control": "no-cache" });

export const limitForm = (): MiddlewareHandler =>
  bodyLimit({ maxSize: formBytesMax, onError: (c) => c.body(null, 413, pageHeaders) });

export function addressIn(c: Context): string {
  const { pathname, search } = new URL(c.req.url);
  return pathname + search;
}

/** A path of this page; anything else leads to the overview. `//host` and `/\\host` would lead away. */
export const localPath = (text: unknown): string =>
  typeof text === "string" && /^\/(?![/\\])[^\\\s]*$/.test(text) ? text : "/";
