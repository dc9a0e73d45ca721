/**
 * One attempt to tell one target a notification: an HTTP request, a command, or an e-mail (smtp.ts). Bounded by the
 * target's time limit; a command that exceeds it is killed by its process id, with the group that it leads.
 *
 * The signature of a webhook: `Stead-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 of `SECONDS.BODY` under the target's
 * secret. The time stands in what is signed, so that a receiver can refuse an old request that is sent again.
 */
import { spawn } from "node:child_process";
import crypto from "node:crypto";
import type { NotifyTarget } from "../../config/types.ts";
import type { Notification } from "../../core/notify/notification.ts";
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { messageOfNotification, plainNotification } from "./message.ts";
import type { SendOutcome } from "./send-outcome.ts";
import { sendMail } from "./smtp.ts";

export type Send = (target: NotifyTarget, notification: Notification, signal: AbortSignal) => Promise<SendOutcome>;

/** Never rejects. */
export const sendNotification: Send = async (target, notification, signal) => {
  try {
    const { to, timeoutMs } = target;
    switch (to.kind) {
      case "command":
        return await runCommand(to, timeoutMs, notification, signal);
      case "http":
        return await post(to, timeoutMs, notification, signal);
      case "smtp":
        return await sendMail(to, timeoutMs, notification, signal);
    }
  } catch (error) {
    return { kind: "failed", why: messageOf(error), permanent: false };
  }
};

type HttpTarget = Extract<NotifyTarget["to"], { kind: "http" }>;

async function post(
  to: HttpTarget,
  timeoutMs: number,
  notification: Notification,
  signal: AbortSignal,
): Promise<SendOutcome> {
  const body = JSON.stringify(
    messageOfNotification(notification, { format: to.format, routingKey: to.routingKey, topic: to.topic }),
  );
  const seconds = Math.floor(Date.now() / 1_000);
  const response = await fetch(to.url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "user-agent": "stead",
      "stead-notification": notification.id,
      ...(to.secret === undefined ? {} : { "stead-signature": signatureOf(to.secret, seconds, body) }),
      ...(to.bearer === undefined ? {} : { authorization: `Bearer ${to.bearer}` }),
    },
    body,
    // A redirection would take the signed body, and a token in the path, to another receiver.
    redirect: "manual",
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
  await response.body?.cancel();
  if (response.ok) return { kind: "told" };
  const { status } = response;
  return { kind: "failed", why: `answered with ${status}`, permanent: status < 500 && !worthRetrying.has(status) };
}

/** Request timeout, too early, too many requests. */
const worthRetrying: ReadonlySet<number> = new Set([408, 425, 429]);

export const signatureOf = (secret: string, seconds: number, body: string): string =>
  `t=${seconds},v1=${crypto.createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`;

type CommandTarget = Extract<NotifyTarget["to"], { kind: "command" }>;

function runCommand(
  to: CommandTarget,
  timeoutMs: number,
  notification: Notification,
  signal: AbortSignal,
): Promise<SendOutcome> {
  const [program, ...args] = to.command;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: to.folder,
      env: { ...cleanEnvironment(process.env), ...environmentOf(notification) },
      stdio: ["pipe", "ignore", "inherit"],
      detached: true,
    });
    const fail = (why: string): void => settle({ kind: "failed", why, permanent: false });
    const kill = (why: string): void => {
      killGroup(child.pid);
      fail(why);
    };
    const timer = setTimeout(() => kill(`did not end within ${timeoutMs} ms and is killed`), timeoutMs);
    const onAbort = (): void => kill("the gateway is stopping");
    const settle = (outcome: SendOutcome): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      resolve(outcome);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("exit", (code, by) =>
      code === 0 ? settle({ kind: "told" }) : fail(`ended with ${code === null ? (by ?? "a signal") : `code ${code}`}`),
    );
    // A command that does not read its standard input is no failure.
    child.stdin.on("error", () => undefined);
    child.stdin.end(`${JSON.stringify(plainNotification(notification))}\n`);
  });
}

/** It leads its group: `detached` above. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended
  }
}

function environmentOf(notification: Notification): Record<string, string> {
  return {
    STEAD_NOTIFICATION: notification.id,
    STEAD_KIND: notification.kind,
    STEAD_SEVERITY: notification.severity,
    STEAD_SERVICE: notification.service ?? "",
    STEAD_HOST: notification.host ?? "",
    STEAD_GATEWAY: notification.gateway,
    STEAD_AT: new Date(notification.atMs).toISOString(),
    STEAD_SUMMARY: notification.summary,
    STEAD_DETAIL: notification.detail,
  };
}
