/** Pebble, Let's Encrypt's test authority (Debian's package `pebble`), with a DNS where every name is this machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import { placeholderCertificate } from "../../../src/gateway/route/self-signed.ts";
import { freePorts } from "../../../src/runtime/free-ports.ts";
import { waitFor } from "../http/raw-client.ts";

export const hasPebble = Bun.which("pebble") !== null && Bun.which("pebble-challtestsrv") !== null;
export const withoutPebble = "pebble is not here (apt install pebble): orders are not tested against it";

export class Pebble implements AsyncDisposable {
  readonly directory: string;
  /** PEM file by which its own certificate is checked. */
  readonly caPath: string;
  readonly #port: number;
  readonly #children: readonly ChildProcess[];
  #output = "";

  /** It calls names at these ports. `nonceRejectPercent`: requests that it refuses for their nonce. */
  static async start(
    folder: string,
    ports: { readonly http: number; readonly tls: number },
    { nonceRejectPercent = 20 } = {},
  ): Promise<Pebble> {
    const [port = 0, management = 0, dns = 0, dnsManagement = 0] = await freePorts(4);
    const { cert, key } = await placeholderCertificate(["localhost"], Date.now());
    const at = (name: string): string => join(folder, name);
    writeFileSync(at("pebble.pem"), cert);
    writeFileSync(at("pebble.key"), key);
    const pebble = {
      ...{ listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${management}` },
      ...{ certificate: at("pebble.pem"), privateKey: at("pebble.key"), httpPort: ports.http, tlsPort: ports.tls },
    };
    writeFileSync(at("pebble.json"), JSON.stringify({ pebble }));
    const quiet = { stdio: ["ignore", "pipe", "pipe"] as const };
    const names = spawn(
      "pebble-challtestsrv",
      [
        ...["-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${dnsManagement}`, "-defaultIPv6", ""],
        ...["-http01", "", "-https01", "", "-tlsalpn01", ""],
      ],
      { stdio: [...quiet.stdio] },
    );
    const authority = spawn("pebble", ["-config", at("pebble.json"), "-dnsserver", `127.0.0.1:${dns}`, "-strict"], {
      stdio: [...quiet.stdio],
      env: {
        ...process.env,
        ...{ PEBBLE_VA_NOSLEEP: "1", PEBBLE_AUTHZREUSE: "0" },
        PEBBLE_WFE_NONCEREJECT: String(nonceRejectPercent),
      },
    });
    const started = new Pebble(port, at("pebble.pem"), [names, authority]);
    await waitFor(
      () => started.#output.includes("Listening on"),
      () => started.#output,
      20_000,
    );
    await started.#answers();
    return started;
  }

  private constructor(port: number, caPath: string, children: readonly ChildProcess[]) {
    this.#port = port;
    this.caPath = caPath;
    this.directory = `https://localhost:${port}/dir`;
    this.#children = children;
    for (const { stdout, stderr } of children)
      for (const stream of [stdout, stderr]) stream?.on("data", (text: Buffer) => (this.#output += text.toString()));
  }

  get output(): string {
    return this.#output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map((child) => {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        return child.kill("SIGKILL") ? ended : undefined;
      }),
    );
  }

  async #answers(): Promise<void> {
    const once = (): Promise<boolean> =>
      new Promise((resolve) => {
        get(`https://127.0.0.1:${this.#port}/dir`, { rejectUnauthorized: false }, (response) => {
          response.resume();
          resolve(response.statusCode === 200);
        }).on("error", () => resolve(false));
      });
    while (!(await once())) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
