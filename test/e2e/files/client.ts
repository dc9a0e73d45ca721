/** The application of `proof:files` and `bench:files` in a cluster, and its client. */
import { join } from "node:path";
import type { DemoApplication } from "../../../harness/applications.ts";

export const filesApplication: DemoApplication = {
  command: [process.execPath, join(import.meta.dir, "application.ts")],
  database: "app.db",
  readyPath: "/health",
  readPath: "/health",
  makeModel: () => {
    throw new Error("proof:files has a model of its own");
  },
};

/** Keys of `[host]`. */
export const filesKeys = 'files = ["uploads/**", ".migrate", "secrets/*.key"]\n';

export interface Everything {
  readonly rows: readonly {
    readonly id: string;
    readonly path: string;
    readonly hash: string;
    readonly found: string | null;
  }[];
  /** Files without a row, relative to `uploads`. */
  readonly others: readonly string[];
}

const timeoutMs = 60_000;

export class FilesClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** Returns the status; 0: no answer. */
  async call(method: string, path: string, body?: Uint8Array | string): Promise<number> {
    try {
      const answer = await this.#fetch(method, path, body);
      await answer.arrayBuffer();
      return answer.status;
    } catch {
      return 0;
    }
  }

  async everything(): Promise<Everything> {
    const answer = await this.#fetch("GET", "/all");
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`/all answered ${answer.status}: ${text.slice(0, 1000)}`);
    return JSON.parse(text) as Everything;
  }

  /** Returns a signed session. */
  async session(): Promise<string> {
    return (await this.#fetch("GET", "/session")).headers.get("Set-Cookie") ?? "";
  }

  async isKnown(session: string): Promise<boolean> {
    const answer = await fetch(`${this.#url}/whoami`, { headers: { Cookie: session } });
    return answer.status === 200;
  }

  #fetch(method: string, path: string, body?: Uint8Array | string): Promise<Response> {
    const signal = AbortSignal.timeout(timeoutMs);
    return fetch(`${this.#url}${path}`, {
      method,
      signal,
      ...(body === undefined ? {} : { body: new Blob([body]) }),
    });
  }
}
