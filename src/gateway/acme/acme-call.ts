/** One request to a certificate authority over https, bounded in time and size. */
import { request } from "node:https";
import { programVersion } from "../../runtime/program-version.ts";

export interface AcmeAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** Rejects if there is no answer. */
export type AcmeCall = (
  url: string,
  what: { readonly method: "GET" | "HEAD" | "POST"; readonly body?: string; readonly signal: AbortSignal },
) => Promise<AcmeAnswer>;

const answerMsMax = 30_000;
const answerBytesMax = 1024 * 1024;

/** `ca`: PEM of the authorities that the server's certificate is checked with; undefined: the public ones. */
export const acmeCall =
  (ca: string | undefined): AcmeCall =>
  (url, { method, body, signal }) =>
    new Promise((resolve, reject) => {
      const headers = {
        "User-Agent": `stead/${programVersion}`,
        ...(body === undefined
          ? {}
          : { "Content-Type": "application/jose+json", "Content-Length": Buffer.byteLength(body) }),
      };
      const call = request(url, {
        ...{ method, headers, agent: false },
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]),
        ...(ca === undefined ? {} : { ca }),
      });
      call.on("error", reject);
      call.on("response", (response) => {
        const pieces: Buffer[] = [];
        let length = 0;
        response.on("data", (piece: Buffer) => {
          pieces.push(piece);
          length += piece.length;
          if (length > answerBytesMax) call.destroy(new Error(`an answer of more than ${answerBytesMax} bytes`));
        });
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(pieces).toString("utf8");
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      });
      call.end(body);
    });
