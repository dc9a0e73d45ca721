/** @jsxImportSource hono/jsx */
/**
 * The page: what an operator sees of the cluster in a browser, on the admin listener beside the API.
 *
 * It is rendered here and works without script; script only replaces what has changed (live.js). It keeps nothing and
 * decides nothing: every figure and every order is a call of the admin API with the visitor's token (api-calls.ts).
 * Without a valid token each view is the form to sign in, with status 401. What is no path of the page is the API's.
 *
 * How one would try to get in: an order from another site's form (session.ts), a host or event whose text is markup
 * (JSX escapes every text, and the policy runs no script but live.js), a frame around the page (`frame-ancestors`).
 */
import { type Context, Hono } from "hono";
import type { TokenPrincipal } from "../../control/server/authentication.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import {
  Answers,
  type AnswersOptions,
  asset,
  forged,
  limitForm,
  localPath,
  pageHeaders,
  addressIn,
  redirect,
  signIn,
} from "./answers.tsx";
import { type ApiCalls, CallRefused } from "./api-calls.ts";
import { configurationView } from "./configuration.tsx";
import { dataView, suspectsView } from "./data.tsx";
import { drillsView } from "./drills.tsx";
import { eventList } from "./events.tsx";
import { failoverDetail } from "./failover.tsx";
import { failoverList } from "./failovers.tsx";
import { serviceView } from "./hosts.tsx";
import { RefusedView } from "./layout.tsx";
import script from "./live.js" with { type: "text" };
import { addLiveStream, type Render } from "./live-stream.tsx";
import { addOrderForms } from "./order-forms.tsx";
import { overview } from "./overview.tsx";
import { pageAt } from "./paging.tsx";
import { plansPerPage, planView } from "./plan.tsx";
import { reloadsPath, reloadsView } from "./reloads.tsx";
import { isCrossSite, Sessions } from "./session.ts";
import { csvOf, rowsAsked, sqlConsole, type SqlOutcome } from "./sql.tsx";
import { sightView } from "./sight.tsx";
import style from "./style.css" with { type: "text" };

export interface PageOptions extends AnswersOptions {
  /** The listener is behind TLS. */
  readonly isSecure: boolean;
  readonly clock: Clock;
  readonly random: Random;
}

const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#1f6f4a"/><path d="M4 5h8M4 8h8M4 11h5" stroke="#fff" stroke-width="1.6" stroke-linecap="round"/></svg>';

export function createPage(options: PageOptions): Hono {
  const answers = new Answers(options, new Sessions(options.random, options.isSecure));
  const render = renderer(options.clock);
  const app = new Hono();
  app.get("/page/style.css", (c) => asset(c, style, "text/css"));
  app.get("/page/live.js", (c) => asset(c, script, "text/javascript"));
  app.get("/page/icon.svg", (c) => asset(c, icon, "image/svg+xml"));
  addSessions(app, answers, options);
  addLiveStream(app, answers, render, options.clock);
  addOrderForms(app, answers, options.clock);
  app.get("/sql.csv", async (c) => {
    const visit = answers.visitOf(c);
    if (visit === undefined) return signIn(c, "/sql");
    const csv = csvOf(await visit.api.sql(c.req.query("sql") ?? ""));
    const disposition = 'attachment; filename="stead.csv"';
    return c.body(csv, 200, {
      ...pageHeaders,
      "content-type": "text/csv; charset=utf-8",
      "content-disposition": disposition,
    });
  });
  for (const path of viewPaths)
    app.get(path, async (c) => {
      const visit = answers.visitOf(c);
      if (visit === undefined) return signIn(c, addressIn(c));
      const view = await render(visit, new URL(c.req.url));
      return view === undefined ? answers.missing(c, visit) : answers.document(c, visit, view);
    });
  app.notFound((c) => options.api(c.req.raw, c.env as object));
  app.onError((error, c) => answerThrown(error, c, answers));
  return app;
}

function addSessions(app: Hono, answers: Answers, { holderOf }: AnswersOptions): void {
  app.post("/sign-in", limitForm(), async (c) => {
    const form = await c.req.parseBody();
    const next = localPath(form["next"]);
    const token = typeof form["token"] === "string" ? form["token"].trim() : "";
    if (isCrossSite(c)) return signIn(c, next, "the form came from another site");
    const why = await whyNotSignedIn(answers.callsOf(c, token), holderOf(token));
    if (why !== undefined) return signIn(c, next, why);
    answers.sessions.open(c, token);
    return redirect(c, next);
  });
  app.post("/sign-out", limitForm(), async (c) => {
    const isSignedIn = answers.sessions.tokenOf(c) !== undefined;
    if (isSignedIn && !answers.isOwnForm(c, await c.req.parseBody())) return forged(c);
    answers.sessions.close(c);
    return redirect(c, "/");
  });
}

/** What the API refuses is told with its advice; anything else is a defect, which the listener answers. */
function answerThrown(error: Error, c: Context, answers: Answers): Response {
  if (!(error instanceof CallRefused)) throw error;
  const { status, refusal } = error;
  const visit = answers.visitOf(c);
  if (visit === undefined || status === 401) return signIn(c, addressIn(c));
  const { error: found, accepted, advice } = refusal;
  const body = <RefusedView title="The gateway refused" found={found} accepted={accepted} advice={advice} />;
  return answers.document(c, visit, { title: "Refused", entry: "/", isLive: false, body }, status === 403 ? 403 : 409);
}

const viewPaths = [
  "/",
  "/failovers",
  "/failovers/:id",
  "/services/:name",
  "/plan",
  "/sight",
  "/drills",
  "/events",
  "/data",
  "/suspects",
  "/configuration",
  "/configuration/reloads",
  "/sql",
] as const;

function renderer(clock: Clock): Render {
  return async function renderView({ api, visitor }, url) {
    const query = (name: string): string => url.searchParams.get(name) ?? "";
    const page = wholeNumber(query("page"), 1);
    const from = wholeNumber(query("from"), 0);
    const path = url.pathname;
    if (path.startsWith("/failovers/"))
      return failoverDetail(api, decoded(path.slice("/failovers/".length)), query("beside"));
    if (path.startsWith("/services/")) return serviceView(api, decoded(path.slice("/services/".length)), page);
    switch (path) {
      case "/":
        return overview(api, visitor, page);
      case "/failovers":
        return failoverList(api, page);
      case "/plan": {
        const { services } = await api.status();
        const shown = pageAt(services, page, plansPerPage);
        const plans = shown.items.map(async (service) => ({ service, dryRun: await api.dryRun(service.name) }));
        return planView({ ...shown, items: await Promise.all(plans) });
      }
      case "/sight":
        return sightView(await api.sight(), query("service"), page);
      case "/drills":
        return drillsView(await api.status(), await api.drills(), visitor, page);
      case "/events":
        return eventList(api, { level: query("level"), service: query("service"), text: query("text"), page });
      case "/data":
        return dataView(api, clock.wallTime(), page);
      case "/suspects":
        return suspectsView(await api.status(), page);
      case "/configuration":
        return configurationView(await api.configuration(), page);
      case reloadsPath:
        return reloadsView(await api.configuration(), page);
      case "/sql":
        return sqlConsole(query("sql"), await sqlOutcome(api, query("sql"), from), from);
      default:
        return undefined;
    }
  };
}

async function sqlOutcome(api: ApiCalls, sql: string, from: number): Promise<SqlOutcome> {
  if (sql === "") return { kind: "none" };
  try {
    return { kind: "rows", answer: await api.sql(sql, rowsAsked(from)) };
  } catch (error) {
    if (!(error instanceof CallRefused) || error.status === 401) throw error;
    return { kind: "refused", refusal: error.refusal };
  }
}

/** Asks the API, which counts wrong tokens and records them. */
async function whyNotSignedIn(api: ApiCalls, holder: TokenPrincipal | undefined): Promise<string | undefined> {
  try {
    await api.status();
  } catch (error) {
    if (!(error instanceof CallRefused)) throw error;
    return error.status === 401 ? "this token is not valid" : error.refusal.error;
  }
  return holder === undefined
    ? "the cluster secret does not belong in a browser: use a token (`stead token add NAME --role viewer`)"
    : undefined;
}

/** What an address says; anything else than a number is the least one. */
const wholeNumber = (text: string, min: number): number => Math.max(min, Math.floor(Number(text)) || min);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
