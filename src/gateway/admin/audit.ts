/**
 * The audit: who did what at this gateway, from where, and with what outcome, as rows that all gateways share.
 *
 * Two middlewares: `watch` surrounds the authentication and records how calls end; `begin` stands behind the
 * authorization and records that a call that acts has begun, so that one that ends the gateway leaves a trace too
 * (`running`). Recorded are calls that act (route-roles.ts), and of all others those that are refused for their
 * credentials.
 *
 * How one would try to fill it: refused calls, as many as fit through the network. Of each caller, and of all unknown
 * ones together, `refusedListedMax` are listed in a window, the others are counted in one row at its end; and each
 * class of rows is kept by itself (state/retention.ts).
 *
 * Attacked in test/security/AUDIT-calls.test.ts: "refused calls of any number displace no call that was carried out",
 * "lists some refused calls of each caller".
 */
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import { answerField, partyText } from "../../control/channel/transcript.ts";
import type { Authenticated, Principal } from "../../control/server/authentication.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { putAudit } from "../state/rows.ts";
import type { StateStore } from "../state/store.ts";
import { nameOfPrincipal } from "./principal-name.ts";
import { ruleOf } from "./route-roles.ts";

/** Refused calls of one caller that are listed singly in one window. */
export const refusedListedMax = 10;
export const refusedWindowMs = 10 * 60 * 1_000;
const pathLengthMax = 200;
const subjectLengthMax = 500;
const detailLengthMax = 300;

export interface AuditOptions {
  readonly gateway: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Pick<StateStore, "write">;
}

/** Undefined: the credentials are not valid. */
type Caller = { readonly who: string; readonly role: string | null } | undefined;

interface Window {
  readonly caller: Caller;
  /** Refused calls in it. */
  count: number;
  readonly timer: Timer;
}

interface Begun {
  readonly id: string;
  readonly atMs: number;
}

type Call = Record<"who" | "role" | "address" | "method" | "path" | "subject", string | null>;

interface CallRow extends Call {
  readonly outcome: "running" | "done" | "refused" | "failed";
  readonly status: number | null;
  readonly detail: string | null;
  readonly calls: number;
}

export class Audit {
  readonly #options: AuditOptions;
  readonly #run: number;
  readonly #begun = new WeakMap<object, Begun>();
  readonly #windows = new Map<string, Window>();
  #last = 0;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#run = Math.floor(options.clock.wallTime());
  }

  /** Records how calls end. Stands before everything that may refuse one. */
  watch(): MiddlewareHandler<Authenticated> {
    return async (c, next) => {
      await next();
      const { status } = c.res;
      if (isHandshake(c.res) || (!callerRefusals.has(status) && ruleOf(c)?.acts !== true)) return;
      const caller = callerOf(c.get("principal"));
      const begun = this.#begun.get(c);
      const outcome = status < 400 ? "done" : status < 500 ? "refused" : "failed";
      if (begun === undefined && !this.#isListed(caller)) return;
      const row: CallRow = { ...describe(c, caller), outcome, status, detail: detailOf(c.error), calls: 1 };
      this.#options.log[outcome === "done" ? "info" : "warn"]("audit", { ...row });
      this.#write(begun ?? this.#begin(), row);
    };
  }

  /** Records that a call that acts has begun. Stands behind the authorization. */
  begin(): MiddlewareHandler<Authenticated> {
    return async (c, next) => {
      if (ruleOf(c)?.acts === true) {
        const begun = this.#begin();
        this.#begun.set(c, begun);
        const call = describe(c, callerOf(c.var.principal));
        this.#write(begun, { ...call, outcome: "running", status: null, detail: null, calls: 1 });
      }
      await next();
    };
  }

  /** Writes what is only counted so far. */
  close(): void {
    for (const name of [...this.#windows.keys()]) this.#closeWindow(name);
  }

  /** Counts a refused call; false: it is only counted. */
  #isListed(caller: Caller): boolean {
    const name = caller?.who ?? "";
    const window = this.#windows.get(name) ?? {
      ...{ caller, count: 0 },
      timer: this.#options.clock.setTimer(refusedWindowMs, () => this.#closeWindow(name)),
    };
    this.#windows.set(name, window);
    window.count += 1;
    return window.count <= refusedListedMax;
  }

  #closeWindow(name: string): void {
    const window = this.#windows.get(name);
    this.#windows.delete(name);
    window?.timer.cancel();
    const calls = (window?.count ?? 0) - refusedListedMax;
    if (calls <= 0) return;
    const { who, role } = window?.caller ?? { who: null, role: null };
    const row: CallRow = {
      ...{ who, role, address: null, method: null, path: null, subject: null, status: null, calls },
      ...{ outcome: "refused", detail: `more refused calls, beyond the ${refusedListedMax} that are listed` },
    };
    this.#options.log.warn("audit", { ...row });
    this.#write(this.#begin(), row);
  }

  #begin(): Begun {
    const { gateway, clock } = this.#options;
    this.#last += 1;
    return { id: `${gateway}.${this.#run}.${this.#last}`, atMs: Math.floor(clock.wallTime()) };
  }

  #write(begun: Begun, row: CallRow): void {
    const { gateway, store } = this.#options;
    store.write(putAudit({ ...begun, gateway, ...row }));
  }
}

/** Refused for the credentials or role. */
const callerRefusals: ReadonlySet<number> = new Set([401, 403, 429]);

/** The channel's refusals that prove this server: the same call comes again, signed as it asks. */
const isHandshake = ({ status, headers }: Response): boolean => status === 401 && headers.has(answerField);

function callerOf(principal: Principal | undefined): Caller {
  if (principal === undefined) return undefined;
  if (principal.kind === "token") return { who: nameOfPrincipal(principal), role: principal.role };
  const { caller } = principal;
  const isProcess = caller !== undefined && caller.role !== "operator";
  return { who: isProcess ? partyText(caller) : nameOfPrincipal(principal), role: null };
}

const describe = (c: Context, caller: Caller): Call => ({
  who: caller?.who ?? null,
  role: caller?.role ?? null,
  address: addressOf(c),
  method: c.req.method,
  path: c.req.path.slice(0, pathLengthMax),
  subject: bodyOf(c),
});

/** An application that is called within its process has no connection. */
function addressOf(c: Context): string | null {
  if (typeof c.env !== "object" || c.env === null || !("incoming" in c.env)) return null;
  return getConnInfo(c).remote.address?.replace(/^::ffff:(?=\d+\.)/, "") ?? null;
}

/** The body as the call understood it; no body of a call that acts has a secret. */
function bodyOf(c: Context): string | null {
  const body = (c.req as unknown as { valid(target: "json"): object | undefined }).valid("json");
  return body === undefined || Object.keys(body).length === 0 ? null : JSON.stringify(body).slice(0, subjectLengthMax);
}

function detailOf(error: Error | undefined): string | null {
  if (error === undefined) return null;
  return (error instanceof OperatorError ? error.found : messageOf(error)).slice(0, detailLengthMax);
}
