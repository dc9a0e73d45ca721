/**
 * One attempt to tell a notification by e-mail: a connection, a message in plain text to all recipients, and the end of
 * the connection. Bounded by the target's time limit as a whole, besides the library's limits for each stage.
 *
 * The message has the same `Message-ID` at each attempt and from each gateway, so that a mailbox which recognizes
 * repetitions shows one. What one recipient's server refuses for good is final for the notification: another attempt
 * would reach the others again.
 */
import { hash } from "node:crypto";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { SmtpReceiver } from "../../config/smtp-receiver.ts";
import type { Notification } from "../../core/notify/notification.ts";
import { titleOf } from "./message.ts";
import type { SendOutcome } from "./send-outcome.ts";

/** What an error of the library says; `permanent` is set where the server answered. */
interface SmtpError extends Error {
  readonly responseCode?: number | undefined;
  readonly permanent?: boolean | undefined;
}

const temporary = (why: string): SendOutcome => ({ kind: "failed", why, permanent: false });

/** Never rejects. */
export async function sendMail(
  to: SmtpReceiver,
  timeoutMs: number,
  notification: Notification,
  signal: AbortSignal,
): Promise<SendOutcome> {
  if (signal.aborted) return temporary("the gateway is stopping");
  const message = await composeMail(to, notification);
  const connection = open(to, timeoutMs);
  const expired = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve) => {
    const either = AbortSignal.any([signal, expired]);
    const settle = (outcome: SendOutcome): void => {
      either.removeEventListener("abort", onAbort);
      resolve(outcome);
    };
    const onAbort = (): void => {
      settle(temporary(signal.aborted ? "the gateway is stopping" : `no end within ${timeoutMs} ms`));
      connection.close();
    };
    const fail = (error: SmtpError): void => {
      settle({ kind: "failed", why: oneLine(error.message), permanent: error.permanent === true });
      connection.close();
    };
    either.addEventListener("abort", onAbort, { once: true });
    // Closing emits "end", and the library may emit more errors: what was settled first holds.
    connection.on("error", fail);
    connection.on("end", () => settle(temporary("the mail server ended the connection")));
    connection.connect((error) => {
      if (error !== undefined && error !== null) return fail(error);
      signIn(connection, to, fail, () => deliver(connection, to, message, fail, settle));
    });
  });
}

function open({ host, port, isTls, starttls, ca }: SmtpReceiver, timeoutMs: number): SMTPConnection {
  return new SMTPConnection({
    ...{ host, port, secure: isTls },
    ...(isTls ? {} : starttls === "required" ? { requireTLS: true } : { ignoreTLS: true }),
    ...{ connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs, dnsTimeout: timeoutMs },
    // A server that does not end its side keeps no descriptor here.
    socketCloseTimeout: 0,
    tls: { minVersion: "TLSv1.2", ...(ca === undefined ? {} : { ca }) },
  });
}

function signIn(
  connection: SMTPConnection,
  { user, password }: SmtpReceiver,
  fail: (error: SmtpError) => void,
  next: () => void,
): void {
  if (user === undefined || password === undefined) return next();
  connection.login({ user, pass: password }, (error) => {
    if (error !== undefined && error !== null) fail(error);
    else next();
  });
}

function deliver(
  connection: SMTPConnection,
  { from, recipients }: SmtpReceiver,
  message: Buffer,
  fail: (error: SmtpError) => void,
  settle: (outcome: SendOutcome) => void,
): void {
  connection.send({ from, to: [...recipients] }, message, (error, info) => {
    if (error !== undefined && error !== null) return fail(error);
    const refused = info?.rejectedErrors ?? [];
    settle(refused.length === 0 ? { kind: "told" } : partlyRefused(refused, recipients.length));
    connection.quit();
  });
}

/** The others have it: no attempt follows. */
function partlyRefused(errors: readonly (SmtpError & { recipient?: string | undefined })[], all: number): SendOutcome {
  const refused = errors.map(({ recipient, message }) => `${recipient ?? "?"} (${oneLine(message)})`).join(", ");
  const why = `the mail server refused ${errors.length} of ${all} recipients: ${refused}; the others have the message`;
  return { kind: "failed", why, permanent: true };
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim();

/** Lines of plain text: what happened, what it means, and where. */
export function composeMail({ from, recipients }: SmtpReceiver, notification: Notification): Promise<Buffer> {
  const { id, kind, severity, service, host, gateway, atMs, summary, detail } = notification;
  const lines = [
    ...[summary, "", detail, ""],
    ...[`Kind:     ${kind} (${severity})`, `Service:  ${service ?? "all"}`],
    ...(host === undefined ? [] : [`Host:     ${host}`]),
    ...[`Gateway:  ${gateway}`, `Time:     ${new Date(atMs).toISOString()}`, `Id:       ${id}`, ""],
    "stead status shows what holds now.",
  ];
  const mail = new MailComposer({
    ...{ from, to: [...recipients], subject: `[stead] ${titleOf(notification)}`, text: `${lines.join("\n")}\n` },
    messageId: `<${hash("sha256", id, "hex").slice(0, messageIdDigits)}@${domainOf(from)}>`,
    headers: { "Auto-Submitted": "auto-generated", "X-Stead-Notification": id },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  return mail.compile().build();
}

const messageIdDigits = 32;
const domainOf = (address: string): string => address.slice(address.lastIndexOf("@") + 1);
