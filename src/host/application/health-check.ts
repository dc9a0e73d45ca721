/**
 * One check of an application that has been ready: a request for a path, or a connection if there is no path. It has no
 * time limit; its caller ends it (src/core/host/liveness.ts counts the time in which this host really ran).
 *
 * It bypasses the front: it is no client's request, is never held, and never waits for the vault. Each check has its
 * own connection, since a kept one would report a healthy application that accepts no new ones.
 */
import { request } from "node:http";
import { connect, isIP } from "node:net";
import { type CallFailure, judgeFailure } from "../../control/json-call.ts";
import type { CheckResult } from "../../core/host/liveness.ts";

export interface CheckTarget {
  /** A loopback address. */
  readonly host: string;
  readonly port: number;
  /** undefined: healthy if the port accepts a connection. */
  readonly path: string | undefined;
}

/** Resolves once, never rejects; after `signal` the result is meaningless. */
export function checkHealth(target: CheckTarget, signal: AbortSignal): Promise<CheckResult> {
  return target.path === undefined ? connects(target, signal) : answersWell(target, target.path, signal);
}

function connects({ host, port }: CheckTarget, signal: AbortSignal): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (result: CheckResult): void => {
      socket.destroy();
      resolve(result);
    };
    signal.addEventListener("abort", () => settle(aborted), { once: true });
    socket.once("connect", () => settle({ kind: "well" }));
    socket.once("error", (error) => judge(error, { host, port }, `a connection to port ${port}`, settle));
  });
}

function answersWell({ host, port }: CheckTarget, path: string, signal: AbortSignal): Promise<CheckResult> {
  return new Promise((resolve) => {
    const what = `GET ${withoutQuery(path)}`;
    const asked = request(
      { host, port, path, agent: false, headers: { connection: "close", "user-agent": "stead-health" } },
      (answer) => {
        answer.on("error", () => undefined).resume();
        const status = answer.statusCode ?? 0;
        resolve(
          status >= 200 && status < 400 ? { kind: "well" } : { kind: "unwell", detail: `${what} answered ${status}` },
        );
      },
    );
    const onAbort = (): void => {
      asked.destroy();
      resolve(aborted);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    let hasFailed = false;
    asked.once("error", (error) => {
      hasFailed = true;
      judge(error, { host, port }, what, resolve);
    });
    asked.once("close", () => {
      if (!hasFailed) resolve({ kind: "silent", detail: `${what}: the connection was closed without an answer` });
    });
    asked.end();
  });
}

const aborted: CheckResult = { kind: "unmade", detail: "aborted" };

/** A check that this host could not make says nothing about the application. */
function judge(
  error: NodeJS.ErrnoException,
  { host, port }: Pick<CheckTarget, "host" | "port">,
  what: string,
  done: (result: CheckResult) => void,
): void {
  const url = new URL(`http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`);
  judgeFailure(error, url, (failure) => done(resultOf(failure, `${what}: ${error.message}`, what)));
}

function resultOf(failure: CallFailure, detail: string, what: string): CheckResult {
  switch (failure.kind) {
    case "refused":
      return { kind: "refused", detail: `${what}: the connection is refused, nothing listens` };
    case "no-evidence":
      return { kind: "unmade", detail: failure.message };
    // An answer arrived, but not HTTP.
    case "invalid":
      return { kind: "unwell", detail };
    default:
      return { kind: "silent", detail };
  }
}

/** A query may contain a secret; it is never shown. */
const withoutQuery = (path: string): string => path.split("?", 1)[0] ?? path;
