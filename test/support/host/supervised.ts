/**
 * An application under a supervisor, for tests: small programs for Bun, with everything around them as it would be in a
 * host without callers.
 */
import type { ApplicationConfig } from "../../../src/config/types.ts";
import { allRules } from "../../../src/core/rules.ts";
import { Supervisor, type SupervisorOptions } from "../../../src/host/application/supervisor.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { scopeOf } from "./scope-fixture.ts";

export interface Supervised {
  readonly supervisor: Supervisor;
  readonly gaveUp: Promise<string>;
  readonly warnings: string[];
  /** The states that its status had, each once in a row. */
  readonly states: string[];
}

/** A patience that a test can wait for. */
export const shortPatience = { path: "/health", intervalMs: 100, timeoutMs: 1_000, patienceMs: 1_000 } as const;

export function supervise(
  script: string,
  folder: string,
  application: Partial<ApplicationConfig> = {},
  others: Partial<SupervisorOptions> = {},
): Supervised {
  const gaveUp = Promise.withResolvers<string>();
  const warnings: string[] = [];
  const states: string[] = [];
  const supervisor: Supervisor = new Supervisor({
    application: {
      command: [process.execPath, "-e", script],
      cwd: folder,
      env: {},
      readyPath: "/health",
      readyTimeoutMs: 20_000,
      health: shortPatience,
      port: undefined,
      stopSignal: "SIGTERM",
      stopCommand: undefined,
      stopTimeoutMs: 20_000,
      restartsMax: 3,
      restartWindowMs: 60_000,
      log: { kind: "prefixed" },
      ...application,
    },
    dataFolder: folder,
    scope: scopeOf(folder),
    clock: systemClock,
    rules: allRules,
    requests: { size: 0, traffic: () => 0, oldest: () => [] },
    freePort,
    commits: () => 0,
    onGaveUp: gaveUp.resolve,
    onWarning: (text) => warnings.push(text),
    onChange: () => {
      const { state } = supervisor.status;
      if (states.at(-1) !== state) states.push(state);
    },
    ...others,
  });
  return { supervisor, gaveUp: gaveUp.promise, warnings, states };
}

/** Answers with its process id, after what the path asks for. */
export const misbehaving = `
let checks = 0;
const server = require("http").createServer((request, response) => {
  if (request.url === "/health") checks += 1;
  if (request.url === "/checks") return response.end(String(checks));
  if (request.url === "/stop") process.kill(process.pid, "SIGSTOP");
  if (request.url === "/deadlock") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (request.url.startsWith("/sleep")) Bun.sleepSync(Number(request.url.slice(7)));
  if (request.url.startsWith("/burn")) for (const end = Date.now() + Number(request.url.slice(6)); Date.now() < end; );
  if (request.url === "/close") { response.end(String(process.pid)); server.close(); server.closeIdleConnections(); setInterval(() => undefined, 1000); return; }
  if (request.url === "/unwell") { server.unwell = true; }
  if (request.url === "/health" && server.unwell) response.statusCode = 503;
  response.end(String(process.pid));
});
server.listen(Number(process.env.PORT), "127.0.0.1");`;
