/**
 * The page's calls of the admin API, in this process and with the visitor's token: the page has no data and no power
 * of its own. Authentication, roles, limits of guesses and the audit are those of every other caller.
 */
import { type ConfigReport } from "../../control/config-api.ts";
import { type ClusterStatus, type SqlAnswer, sqlRowsMax } from "../../control/gateway-api.ts";
import { type DryRunAnswer } from "../../control/failover-api.ts";
import type { DrillList } from "../../control/drill-api.ts";
import type { RestorePointsAnswer } from "../../control/restore-points.ts";
import type { SamplesAnswer } from "../../control/samples-api.ts";
import type { SightAnswer } from "../../control/sight-api.ts";
import { bearer } from "../../control/bearer.ts";
import type { Refused } from "../../control/refused.ts";

/** The admin API as a function, as Hono's `fetch`; `env` has the connection that the visitor's request came over. */
export type ApiFetch = (request: Request, env: object) => Response | Promise<Response>;

/** The API refused a call. */
export class CallRefused extends Error {
  readonly status: number;
  readonly refusal: Refused;
  constructor(status: number, refusal: Refused) {
    super(refusal.error);
    this.status = status;
    this.refusal = refusal;
  }
}

export class ApiCalls {
  readonly #fetch: ApiFetch;
  readonly #token: string;
  readonly #env: object;

  constructor(fetch: ApiFetch, token: string, env: object) {
    this.#fetch = fetch;
    this.#token = token;
    this.#env = env;
  }

  status(): Promise<ClusterStatus> {
    return this.#call("GET", "/v1/cluster") as Promise<ClusterStatus>;
  }

  configuration(): Promise<ConfigReport> {
    return this.#call("GET", "/v1/config") as Promise<ConfigReport>;
  }

  sight(): Promise<SightAnswer> {
    return this.#call("GET", "/v1/sight") as Promise<SightAnswer>;
  }

  samples(service: string): Promise<SamplesAnswer> {
    return this.#call("GET", `/v1/samples/${encodeURIComponent(service)}`) as Promise<SamplesAnswer>;
  }

  restorePoints(service: string): Promise<RestorePointsAnswer> {
    return this.#call("GET", `/v1/restore-points/${encodeURIComponent(service)}`) as Promise<RestorePointsAnswer>;
  }

  drills(): Promise<DrillList> {
    return this.#call("GET", "/v1/drills") as Promise<DrillList>;
  }

  dryRun(service: string): Promise<DryRunAnswer> {
    return this.#call("GET", `/v1/dry-run/${encodeURIComponent(service)}`) as Promise<DryRunAnswer>;
  }

  sql(sql: string, rowsMax: number = sqlRowsMax): Promise<SqlAnswer> {
    return this.#call("POST", "/v1/sql", { sql, rowsMax }) as Promise<SqlAnswer>;
  }

  /** An operator's order; returns the answer of the API. */
  order(path: string, body?: object): Promise<unknown> {
    return this.#call("POST", path, body);
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const request = new Request(`http://gateway${path}`, {
      method,
      headers: { authorization: bearer(this.#token) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await this.#fetch(request, this.#env);
    if (answer.ok) return answer.json();
    throw new CallRefused(answer.status, (await answer.json()) as Refused);
  }
}

/** Returns a literal of SQL for a text. A NUL character would end it. */
export const quoted = (text: string): string => `'${text.replaceAll("\0", "").replaceAll("'", "''")}'`;
