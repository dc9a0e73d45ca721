/**
 * The audit: who did what at this gateway, from where, and with what outcome, as rows that all gateways share.
 *
 * Two middlewares: `watch` surrounds the authentication and records how calls end; `begin` stands behind the
 * authorization and records that a call that acts has begun, so that one that ends the gateway leaves a trace too
 * (`running`). Recorded are calls that act (route-roles.ts), and of all others those that are refused for their
 * credentials.
 *
 * How one would try to fill it: refused calls, as many as fit through the network. Of each class (with valid
 * credentials, without) a few are listed in each window, the others are counted in one row at its end; and each class
 * is kept by itself (state/store.ts).
 */
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import type { Authenticated, Principal } from "../../control/server/authentication.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { type AuditRow, putAudit } from "../state/rows.ts";
import type { StateStore } from "../state/store.ts";
import { nameOfPrincipal } from "./principal-name.ts";
import { ruleOf } from "./route-roles.ts";

/** Refused calls of one class that are listed singly in one window. */
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

/** The calls beyond those listed in the present window. */
interface Flood {
  listed: number;
  counted: number;
  readonly timer: Timer;
}

type Caller = Pick<AuditRow, "who" | "role" | "address">;

export class Audit {
  readonly #options: AuditOptions;
  readonly #run: number;
  readonly #running = new WeakMap<Request, string>();
  readonly #floods = new Map<"known" | "unknown", Flood>();
  #last = 0;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#run = Math.floor(options.clock.wallTime());
  }

  /** Records how calls end. Stands before the authentication. */
  watch(): MiddlewareHandler<Authenticated> {
    return async (c, next) => {
      await next();
      const { status } = c.res;
      const isRefusedCaller = status === 401 || status === 403;
      if (!isRefusedCaller && ruleOf(c)?.acts !== true) return;
      const outcome = status < 400 ? "done" : status < 500 ? "refused" : "failed";
      const id = this.#running.get(c.req.raw);
      const principal = (c as Context).get("principal") as Principal | undefined;
      if (id === undefined && outcome === "refused" && !this.#isListed(principal === undefined ? "unknown" : "known"))
        return;
      const row = { ...describe(c, principal), outcome, status, detail: detailOf(c.error), calls: 1 };
      this.#options.log.info("call", { ...row, calls: null });
      this.#write(id ?? this.#nextId(), row);
    };
  }

  /** Records that a call that acts has begun. Stands behind the authorization. */
  begin(): MiddlewareHandler<Authenticated> {
    return async (c, next) => {
      if (ruleOf(c)?.acts === true) {
        const id = this.#nextId();
        this.#running.set(c.req.raw, id);
        this.#write(id, { ...describe(c, c.var.principal), outcome: "running", calls: 1 });
      }
      await next();
    };
  }

  /** Writes what is only counted so far. */
  close(): void {
    for (const kind of [...this.#floods.keys()]) this.#endWindow(kind);
  }

  #isListed(kind: "known" | "unknown"): boolean {
    const { clock } = this.#options;
    const flood = this.#floods.get(kind) ?? {
      listed: 0,
      counted: 0,
      timer: clock.setTimer(refusedWindowMs, () => this.#endWindow(kind)),
    };
    this.#floods.set(kind, flood);
    if (flood.listed < refusedListedMax) flood.listed++;
    else flood.counted++;
    return flood.counted === 0;
  }

  #endWindow(kind: "known" | "unknown"): void {
    const flood = this.#floods.get(kind);
    this.#floods.delete(kind);
    flood?.timer.cancel();
    if (flood === undefined || flood.counted === 0) return;
    const callers = kind === "known" ? "with valid credentials" : "without valid credentials";
    const detail = `further calls ${callers} that were refused since the first ${refusedListedMax} of them`;
    const caller: Caller = { who: kind === "known" ? "(several)" : null, role: null, address: null };
    this.#options.log.warn("calls refused", { calls: flood.counted, callers });
    this.#write(this.#nextId(), {
      ...{ ...caller, method: "", path: "", subject: null, outcome: "refused", status: null, detail },
      calls: flood.counted,
    });
  }

  #nextId(): string {
    return `${this.#options.gateway}.${this.#run}.${++this.#last}`;
  }

  #write(id: string, row: Omit<AuditRow, "id" | "atMs" | "gateway">): void {
    const { gateway, clock, store } = this.#options;
    store.write(putAudit({ id, atMs: Math.floor(clock.wallTime()), gateway, ...row }));
  }
}

function describe(
  c: Context,
  principal: Principal | undefined,
): Caller & Pick<AuditRow, "method" | "path" | "subject"> {
  return {
    who: principal === undefined ? null : nameOfPrincipal(principal),
    role: principal?.kind === "token" ? principal.role : null,
    address: addressOf(c),
    method: c.req.method,
    path: c.req.path.slice(0, pathLengthMax),
    subject: bodyOf(c),
  };
}

/** Without a connection (an app that is called in its own process) there is no address. */
function addressOf(c: Context): string | null {
  const env = c.env as { readonly incoming?: unknown } | undefined;
  return env?.incoming === undefined ? null : (getConnInfo(c).remote.address ?? null);
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
