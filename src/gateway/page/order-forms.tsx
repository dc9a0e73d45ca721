/** @jsxImportSource hono/jsx */
/** The paths of operators' orders: a page that shows what would happen and asks, and the form that orders it. */
import type { Hono } from "hono";
import { suffices } from "../../control/token.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type Answers, forged, limitForm, addressIn, signIn, type Visit } from "./answers.tsx";
import { CallRefused } from "./api-calls.ts";
import { callOf, type Choice, doneView, isOrderKind, orderView } from "./orders.tsx";

export function addOrderForms(app: Hono, answers: Answers, clock: Clock): void {
  app.get("/orders/:service/:kind", async (c) => {
    const visit = answers.visitOf(c);
    if (visit === undefined) return signIn(c, addressIn(c));
    const { service: name, kind } = c.req.param();
    const service = await serviceOf(visit, name);
    if (service === undefined || !isOrderKind(kind)) return answers.missing(c, visit);
    if (!suffices(visit.visitor.role, "operator")) return answers.forbidden(c, visit);
    const dryRun = await visit.api.dryRun(name);
    return answers.document(c, visit, orderView({ kind, service, dryRun, visitor: visit.visitor }));
  });

  app.post("/orders/:service/:kind", limitForm(), async (c) => {
    const visit = answers.visitOf(c);
    if (visit === undefined) return signIn(c, "/");
    const form = await c.req.parseBody();
    if (!answers.isOwnForm(c, form)) return forged(c);
    const { service: name, kind } = c.req.param();
    const service = await serviceOf(visit, name);
    if (service === undefined || !isOrderKind(kind)) return answers.missing(c, visit);
    const call = callOf(kind, name, choiceIn(form));
    if (call.kind === "refused") throw new CallRefused(400, call.refusal);
    const since = clock.now();
    const answer = await visit.api.order(call.path, call.body);
    return answers.document(c, visit, doneView(kind, service, answer, clock.now() - since));
  });
}

function choiceIn(form: Readonly<Record<string, unknown>>): Choice {
  const text = (field: keyof Choice): string => (typeof form[field] === "string" ? form[field] : "");
  const [host, drill, reason, confirmed] = [text("host"), text("drill"), text("reason"), text("confirmed")];
  return { host, drill, reason, for: text("for"), confirmed };
}

const serviceOf = async ({ api }: Visit, name: string) =>
  (await api.status()).services.find((service) => service.name === name);
