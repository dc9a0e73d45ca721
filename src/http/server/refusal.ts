/** The body of a refusal: why, in plain text or JSON by what the client accepts, and nothing of what the client sent. */
import type { OwnResponse } from "../upstream/exchange.ts";

export function refusal(status: number, code: string, message: string, accept: string | undefined): OwnResponse {
  const json = accept?.toLowerCase().includes("application/json") ?? false;
  return {
    status,
    headers: [["Content-Type", json ? "application/json" : "text/plain; charset=utf-8"]],
    body: json ? JSON.stringify({ error: code, message }) : `${status} ${code}: ${message}\n`,
  };
}
