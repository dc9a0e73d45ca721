/** Tokens in the admin API: who may call it, besides the holders of the cluster secret. */
import type { Context } from "hono";
import { addTokenRequestSchema, type TokenAdded, type TokenList } from "../../control/gateway-api.ts";
import type { Api } from "../../control/server/api.ts";
import { jsonBody } from "../../control/server/body.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type TokenBook, tokensMax } from "../state/token-book.ts";
import { nameOfPrincipal } from "./principal-name.ts";

export function addTokens(app: Api, book: TokenBook, clock: Clock): void {
  const list = (c: Context): Response => c.json({ tokens: [...book.list()] } satisfies TokenList);
  app.get("/v1/tokens", list);
  app.post("/v1/tokens", jsonBody(addTokenRequestSchema), (c) => {
    const { name, role, validMs } = c.req.valid("json");
    const expiresAtMs = validMs === null ? undefined : Math.floor(clock.wallTime()) + validMs;
    const answer = book.add({ name, role, expiresAtMs, createdBy: nameOfPrincipal(c.var.principal) });
    switch (answer.kind) {
      case "added":
        return c.json({ token: answer.token, entry: answer.entry } satisfies TokenAdded);
      case "name-taken":
        throw new ApiRefusal("conflict", {
          found: `the name "${name}" is taken`,
          advice: `choose another name, or \`stead token revoke ${name}\` first`,
        });
      case "full":
        throw new ApiRefusal("conflict", {
          found: `there are ${tokensMax} tokens`,
          accepted: `${tokensMax} at most`,
          advice: "revoke those that are not used: `stead token list`",
        });
    }
  });
  app.delete("/v1/tokens/:token", (c) => {
    const token = c.req.param("token");
    if (book.revoke(token).length === 0)
      throw new ApiRefusal("unknown-token", {
        found: `there is no token with the name or id "${token}"`,
        advice: "see `stead token list`",
      });
    return list(c);
  });
}
