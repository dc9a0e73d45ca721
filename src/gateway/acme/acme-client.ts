/**
 * The client side of ACME (RFC 8555): an account, and orders for certificates.
 *
 * Every request but the first two is signed over a nonce that the authority gave, and that may have expired: such a
 * request is made again with the one of the refusal (6.5). Whatever else goes wrong ends the order with an `AcmeError`;
 * the caller decides when the next one is made.
 *
 * Our own, on the DER that the certificates of a cluster need anyway: `acme-client` brings 50 packages, axios and
 * node-forge among them, three of which have licences that this project does not take (BSD-3-Clause, 0BSD).
 */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import type { Certificate } from "../../http/server/server-tls.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { AccountKey } from "./account-key.ts";
import type { AcmeAnswer, AcmeCall } from "./acme-call.ts";
import { requestCertificate } from "./certificate-request.ts";

export type ChallengeKind = "http-01" | "tls-alpn-01";

/** What the authority asks the servers of a name for. */
export interface ChallengeAnswer {
  readonly kind: ChallengeKind;
  readonly domain: string;
  readonly token: string;
  readonly keyAuthorization: string;
}

/** The authority refused, or did not answer as it should. */
export class AcmeError extends Error {
  /** `rateLimited`, for example (RFC 8555, 6.7); undefined: no answer, or one that is no problem document. */
  readonly problem: string | undefined;
  /** What the authority asks for before the next attempt. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, problem?: string, retryAfterMs?: number) {
    super(message);
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface AcmeClientOptions {
  readonly directory: string;
  readonly key: AccountKey;
  readonly email: string | undefined;
  readonly challenge: ChallengeKind;
  readonly call: AcmeCall;
  readonly clock: Clock;
}

export interface OrderSteps {
  /** Resolves when every server of the names answers like this. */
  publish(answers: readonly ChallengeAnswer[]): Promise<void>;
  /** They are not asked for any more. */
  withdraw(answers: readonly ChallengeAnswer[]): void;
}

const pollMs = 1_000;
const pollMsMax = 30_000;
const pollsMax = 60;
const nonceTriesMax = 8;

const url = v.pipe(v.string(), v.startsWith("https://"));
const problemSchema = v.object({ type: v.optional(v.string(), ""), detail: v.optional(v.string(), "") });
const directorySchema = v.object({ newNonce: url, newAccount: url, newOrder: url });
const orderSchema = v.object({
  status: v.string(),
  authorizations: v.array(url),
  finalize: url,
  certificate: v.optional(url),
  error: v.optional(problemSchema),
});
const authorizationSchema = v.object({
  status: v.string(),
  identifier: v.object({ value: v.string() }),
  challenges: v.array(
    v.object({
      type: v.string(),
      url,
      status: v.optional(v.string()),
      token: v.optional(v.pipe(v.string(), v.regex(/^[\w-]{1,128}$/))),
      error: v.optional(problemSchema),
    }),
  ),
});

export class AcmeClient {
  readonly #options: AcmeClientOptions;
  #directory: v.InferOutput<typeof directorySchema> | undefined;
  #account: string | undefined;
  #nonce: string | undefined;

  constructor(options: AcmeClientOptions) {
    this.#options = options;
  }

  /** The account's URL, for CAA records (RFC 8657); undefined before the first order. */
  get account(): string | undefined {
    return this.#account;
  }

  /** Returns a certificate for these names. Rejects with `AcmeError`, or with the reason of `signal`. */
  async order(domains: readonly string[], steps: OrderSteps, signal: AbortSignal): Promise<Certificate> {
    const directory = await this.#open(signal);
    const identifiers = domains.map((value) => ({ type: "dns", value }));
    const made = await this.#post(directory.newOrder, { identifiers }, signal);
    const place = locationOf(made, "order");
    let order = parsed(orderSchema, made.body, "order");
    await this.#authorize(order.authorizations, steps, signal);
    order = await this.#until(place, orderSchema, ({ status }) => status !== "pending", signal);
    if (order.status !== "ready") throw refused("the order", order.error, order.status);
    const { key, request } = await requestCertificate(domains);
    await this.#post(order.finalize, { csr: request.toString("base64url") }, signal);
    const isDone = ({ status }: { status: string }): boolean => status === "valid" || status === "invalid";
    order = await this.#until(place, orderSchema, isDone, signal);
    if (order.certificate === undefined) throw refused("the order", order.error, order.status);
    const cert = (await this.#post(order.certificate, undefined, signal)).body;
    assertUsable(cert, domains);
    return { cert, key };
  }

  /** Shows that the servers of all names are this account's. */
  async #authorize(places: readonly string[], steps: OrderSteps, signal: AbortSignal): Promise<void> {
    const { challenge: kind, key } = this.#options;
    const asked: { readonly place: string; readonly url: string; readonly answer: ChallengeAnswer }[] = [];
    for (const place of places) {
      const { status, identifier, challenges } = await this.#get(place, authorizationSchema, signal);
      if (status === "valid") continue;
      const domain = identifier.value;
      const challenge = challenges.find(({ type }) => type === kind);
      if (challenge?.token === undefined)
        throw new AcmeError(
          `the authority offers no ${kind} for ${domain}, only ${challenges.map(({ type }) => type).join(", ")}`,
        );
      const keyAuthorization = `${challenge.token}.${key.thumbprint}`;
      asked.push({ place, url: challenge.url, answer: { kind, domain, token: challenge.token, keyAuthorization } });
    }
    const answers = asked.map(({ answer }) => answer);
    try {
      if (answers.length > 0) await steps.publish(answers);
      for (const { url: ready } of asked) await this.#post(ready, {}, signal);
      for (const { place, answer } of asked) {
        const isDecided = ({ status }: { status: string }): boolean => status !== "pending";
        const { status, challenges } = await this.#until(place, authorizationSchema, isDecided, signal);
        if (status !== "valid")
          throw refused(
            `${answer.kind} of ${answer.domain}`,
            challenges.find(({ error }) => error !== undefined)?.error,
            status,
          );
      }
    } finally {
      steps.withdraw(answers);
    }
  }

  /** The account is made if the authority does not know its key yet. */
  async #open(signal: AbortSignal): Promise<v.InferOutput<typeof directorySchema>> {
    const { directory, email } = this.#options;
    if (this.#directory === undefined) {
      const answer = await this.#call(directory, { method: "GET", signal });
      this.#directory = parsed(directorySchema, answer.body, "directory");
    }
    if (this.#account === undefined) {
      const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
      const account = { termsOfServiceAgreed: true, ...contact };
      this.#account = locationOf(await this.#post(this.#directory.newAccount, account, signal), "account");
    }
    return this.#directory;
  }

  async #until<Schema extends v.GenericSchema>(
    place: string,
    schema: Schema,
    isOver: (value: v.InferOutput<Schema>) => boolean,
    signal: AbortSignal,
  ): Promise<v.InferOutput<Schema>> {
    for (let polls = 0; polls < pollsMax; polls++) {
      const answer = await this.#post(place, undefined, signal);
      const value = parsed(schema, answer.body, place);
      if (isOver(value)) return value;
      const askedMs = retryAfterMs(answer, this.#options.clock.wallTime());
      await this.#options.clock.sleep(Math.min(pollMsMax, Math.max(pollMs, askedMs ?? 0)), signal);
    }
    throw new AcmeError(`the authority has not decided after ${pollsMax} questions`);
  }

  async #get<Schema extends v.GenericSchema>(
    place: string,
    schema: Schema,
    signal: AbortSignal,
  ): Promise<v.InferOutput<Schema>> {
    return parsed(schema, (await this.#post(place, undefined, signal)).body, place);
  }

  /** Without `payload` it asks for a resource (RFC 8555, 6.3). */
  async #post(place: string, payload: object | undefined, signal: AbortSignal): Promise<AcmeAnswer> {
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonce ?? (await this.#freshNonce(signal));
      this.#nonce = undefined; // each is good for one request
      const body = this.#options.key.signed(place, nonce, payload, this.#account);
      try {
        return await this.#call(place, { method: "POST", body, signal });
      } catch (error) {
        if (!(error instanceof AcmeError) || error.problem !== "badNonce" || tries >= nonceTriesMax) throw error;
      }
    }
  }

  async #freshNonce(signal: AbortSignal): Promise<string> {
    await this.#call(this.#directory?.newNonce ?? "", { method: "HEAD", signal });
    if (this.#nonce === undefined) throw new AcmeError("the authority gave no nonce");
    return this.#nonce;
  }

  async #call(place: string, what: Parameters<AcmeCall>[1]): Promise<AcmeAnswer> {
    let answer: AcmeAnswer;
    try {
      answer = await this.#options.call(place, what);
    } catch (error) {
      if (what.signal.aborted) throw error;
      throw new AcmeError(`no answer from ${new URL(place).host}: ${messageOf(error)}`);
    }
    const nonce = answer.headers["replay-nonce"];
    if (typeof nonce === "string") this.#nonce = nonce;
    if (answer.status >= 200 && answer.status < 300) return answer;
    const problem = v.safeParse(problemSchema, jsonOf(answer.body));
    const kind = problem.success ? problem.output.type.replace(/^urn:ietf:params:acme:error:/, "") : "";
    const detail = problem.success ? `${kind}: ${problem.output.detail}` : `status ${answer.status}`;
    const waitMs = retryAfterMs(answer, this.#options.clock.wallTime());
    // An authority that has forgotten the account makes it again.
    if (kind === "accountDoesNotExist") this.#account = undefined;
    throw new AcmeError(`the authority refused: ${detail}`, kind === "" ? undefined : kind, waitMs);
  }
}

function refused(what: string, error: v.InferOutput<typeof problemSchema> | undefined, status: string): AcmeError {
  const kind = error?.type.replace(/^urn:ietf:params:acme:error:/, "");
  return new AcmeError(`${what} is ${status}${error === undefined ? "" : `: ${kind}: ${error.detail}`}`, kind);
}

function parsed<Schema extends v.GenericSchema>(schema: Schema, body: string, what: string): v.InferOutput<Schema> {
  const found = v.safeParse(schema, jsonOf(body));
  if (found.success) return found.output;
  throw new AcmeError(`the authority's ${what} is not as RFC 8555 has it: ${found.issues[0].message}`);
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function locationOf({ headers }: AcmeAnswer, what: string): string {
  const { location } = headers;
  if (typeof location === "string" && v.is(url, location)) return location;
  throw new AcmeError(`the authority did not say where the ${what} is`);
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
function retryAfterMs({ headers }: AcmeAnswer, wallTime: number): number | undefined {
  const value = headers["retry-after"];
  if (typeof value !== "string") return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - wallTime;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function assertUsable(cert: string, domains: readonly string[]): void {
  let found: X509Certificate;
  try {
    found = new X509Certificate(cert);
  } catch (error) {
    throw new AcmeError(`the authority's certificate cannot be read: ${messageOf(error)}`);
  }
  const missing = domains.filter((name) => found.checkHost(name) === undefined);
  if (missing.length > 0) throw new AcmeError(`the authority's certificate is not for ${missing.join(", ")}`);
}
