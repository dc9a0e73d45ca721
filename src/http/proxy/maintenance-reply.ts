/**
 * The page that clients get while a service is in maintenance, and in place of the short text of a refusal when no
 * primary came in time: HTML, or JSON for a client that asks for it and not for HTML.
 */
import type { LocalReply } from "../upstream/exchange.ts";

export interface MaintenancePage {
  /** Undefined: the built-in one. */
  readonly html?: string | undefined;
  readonly retryAfterMs: number;
}

/** A client that is told to come back later than this would miss that it is over. */
const retryAfterSecondsMax = 3_600;

/** Seconds for `Retry-After`: to the announced end, or as configured. `leftMs` undefined: no end was announced. */
export function retryAfterSeconds({ retryAfterMs }: MaintenancePage, leftMs: number | undefined): number {
  return Math.min(retryAfterSecondsMax, Math.max(1, Math.ceil((leftMs ?? retryAfterMs) / 1_000)));
}

export function maintenanceReply(
  { html }: MaintenancePage,
  { code, message, accept }: { readonly code: string; readonly message: string; readonly accept: string | undefined },
): LocalReply {
  const accepted = accept?.toLowerCase() ?? "";
  const isJson = accepted.includes("application/json") && !accepted.includes("text/html");
  return {
    status: 503,
    headers: [
      ["Content-Type", isJson ? "application/json" : "text/html; charset=utf-8"],
      ["Cache-Control", "no-store"],
    ],
    body: isJson ? JSON.stringify({ error: code, message }) : (html ?? builtInPage),
  };
}

/** It needs nothing else, and names nothing: also not the reason that the operator gave, which is for operators. */
const builtInPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Maintenance</title>
<style>
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif }
body { margin: 20vh auto 0; max-width: 32rem; padding: 0 1rem }
</style>
<h1>Back soon</h1>
<p>This service is being maintained and does not answer for the moment. Nothing that you sent just now was carried out:
please try again in a while.</p>
</html>
`;
