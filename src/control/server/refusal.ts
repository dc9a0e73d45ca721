/**
 * Turns what a handler or a middleware throws into an answer. An `ApiRefusal` is answered with the status of its code;
 * any other `OperatorError` (for example, the vault is away during a checkpoint) as `failed` with its own text;
 * anything else as `defect`.
 */
import type { Context } from "hono";
import { type OperatorErrorText, OperatorError } from "../../runtime/operator-error.ts";
import { type RefusalCode, refusalStatus, type Refused } from "../refused.ts";

/**
 * Thrown by handlers and middleware.
 *
 * @example
 * throw new ApiRefusal("unknown-host", { found: 'there is no host "x"', advice: "see `stead hosts list`" });
 */
export class ApiRefusal extends OperatorError {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, text: OperatorErrorText) {
    super("refused", text);
    this.code = code;
  }
}

/** `part` names the owner of the API in the answer to a defect. */
export function asRefusal(thrown: unknown, part: string): ApiRefusal {
  if (thrown instanceof ApiRefusal) return thrown;
  if (thrown instanceof OperatorError) return new ApiRefusal("failed", thrown);
  const found = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiRefusal("defect", { found, advice: `this is a defect of the ${part}: please report it` });
}

/** A 401 must have a challenge (RFC 9110, section 15.5.2). */
const challenge = { "www-authenticate": 'Bearer realm="stead"' };

export function answerRefusal(c: Context, { code, found, accepted, advice }: ApiRefusal): Response {
  const body: Refused = { error: found, code, ...(accepted === undefined ? {} : { accepted }), advice };
  return c.json(body, refusalStatus[code], code === "unauthorized" ? challenge : {});
}
