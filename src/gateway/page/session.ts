/**
 * Who uses the page: a cookie holds the visitor's token, and a form that orders something holds a proof that this
 * page made it.
 *
 * The cookie is HttpOnly and SameSite=Strict: no script reads it, and no other site's request carries it. The API does
 * not know the cookie, so it is worth something only to the page's own paths. The proof is a MAC of the token under a
 * key of this run of the gateway: a site that could make a browser send the cookie all the same (an older browser,
 * another port of this machine) cannot know it. The cluster secret is not accepted: it does not belong in a browser.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { isTokenText } from "../../control/token.ts";
import type { Random } from "../../runtime/random.ts";

const cookieName = "stead_page";
const cookieSecondsMax = 12 * 3600;
const keyBytes = 32;

export class Sessions {
  readonly #key: Uint8Array;
  readonly #isSecure: boolean;

  /** `isSecure`: the listener is behind TLS, and the cookie is for such connections only. */
  constructor(random: Random, isSecure: boolean) {
    this.#key = random.bytes(keyBytes);
    this.#isSecure = isSecure;
  }

  /** Returns the visitor's token, which may be none any more. */
  tokenOf(c: Context): string | undefined {
    const token = getCookie(c, cookieName);
    return token !== undefined && isTokenText(token) ? token : undefined;
  }

  open(c: Context, token: string): void {
    setCookie(c, cookieName, token, {
      ...{ path: "/", httpOnly: true, sameSite: "Strict" },
      ...{ secure: this.#isSecure, maxAge: cookieSecondsMax },
    });
  }

  close(c: Context): void {
    deleteCookie(c, cookieName, { path: "/", secure: this.#isSecure });
  }

  /** Returns what forms send back with an order. */
  proofOf(token: string): string {
    return createHmac("sha256", this.#key).update(token).digest("base64url");
  }

  isProof(token: string, presented: unknown): boolean {
    const expected = Buffer.from(this.proofOf(token));
    const found = Buffer.from(typeof presented === "string" ? presented : "");
    return expected.length === found.length && timingSafeEqual(expected, found);
  }
}

/**
 * True if a browser says that another site sent the request. Without these fields (an older browser, a program) the
 * proof decides alone.
 */
export function isCrossSite(c: Context): boolean {
  const site = c.req.header("sec-fetch-site");
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  const origin = c.req.header("origin");
  if (origin === undefined) return false;
  const from = URL.parse(origin)?.host;
  return from === undefined || from !== c.req.header("host");
}
