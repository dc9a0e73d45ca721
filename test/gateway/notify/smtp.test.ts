import { afterEach, expect, test } from "bun:test";
import type { SmtpReceiver } from "../../../src/config/smtp-receiver.ts";
import type { NotifyTarget } from "../../../src/config/types.ts";
import type { Notification } from "../../../src/core/notify/notification.ts";
import { sendNotification } from "../../../src/gateway/notify/send.ts";
import { FakeMailServer, type MailServerManners } from "../../support/gateway/fake-mail-server.ts";
import { certificateLocalhost } from "../../support/http/certificates.ts";

const notification: Notification = {
  ...{ id: "notes/primary/7", kind: "failover", severity: "warning", service: "notes", host: "b", gateway: "g1" },
  ...{ atMs: Date.UTC(2030, 0, 1), summary: "notes: failover from a to b", detail: "Epoch 7, kill." },
};
const never = new AbortController().signal;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
async function mailServer(manners: MailServerManners = {}): Promise<FakeMailServer> {
  const server = await FakeMailServer.listen(manners);
  closing.push(() => server.close());
  return server;
}

const target = (port: number, change: Partial<SmtpReceiver> = {}, timeoutMs = 10_000): NotifyTarget => ({
  ...{ name: "mail", timeoutMs, kinds: undefined, severity: "info", services: undefined },
  to: {
    ...{ kind: "smtp", host: "127.0.0.1", port, isTls: false, starttls: "off", user: undefined, password: undefined },
    ...{ from: "stead@example.org", recipients: ["ops@example.org", "night@example.org"], ca: undefined },
    ...change,
  },
});

/** The fields of a message, unfolded, and its text, decoded. */
function parsed(text: string | undefined): { readonly fields: ReadonlyMap<string, string>; readonly body: string } {
  const [head = "", ...rest] = (text ?? "").split("\r\n\r\n");
  const lines = head.replaceAll(/\r\n[ \t]+/g, " ").split("\r\n");
  const fields = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]),
  );
  const body = rest.join("\r\n\r\n");
  const encoding = fields.get("content-transfer-encoding");
  if (encoding !== "quoted-printable" && encoding !== "base64") return { fields, body };
  const bytes =
    encoding === "base64"
      ? Buffer.from(body, "base64")
      : Buffer.from(
          body
            .replaceAll("=\r\n", "")
            .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          "latin1",
        );
  return { fields, body: bytes.toString("utf8") };
}

test("each notification is one message in plain text to all recipients, with a subject that stays", async () => {
  const server = await mailServer();
  expect(await sendNotification(target(server.port), notification, never)).toEqual({ kind: "told" });
  expect(server.mails).toMatchObject([{ from: "stead@example.org", to: ["ops@example.org", "night@example.org"] }]);
  const { fields, body } = parsed(server.mails[0]?.text);
  expect(fields.get("subject")).toBe("[stead] [warning] notes: failover from a to b");
  expect(fields.get("auto-submitted")).toBe("auto-generated");
  expect(fields.get("x-stead-notification")).toBe("notes/primary/7");
  expect(fields.get("content-type")).toContain("text/plain");
  for (const part of ["Epoch 7, kill.", "Host:     b", "Gateway:  g1", "2030-01-01T00:00:00.000Z", "notes/primary/7"])
    expect(body).toContain(part);
  await sendNotification(target(server.port), { ...notification, gateway: "g2" }, never);
  expect(parsed(server.mails[1]?.text).fields.get("message-id")).toBe(fields.get("message-id") ?? "");
});

test("lines that begin with a dot, text beyond ASCII and line ends in a summary arrive as they are or harmless", async () => {
  const server = await mailServer();
  const detail = ".\r\nRCPT TO:<other@example.org>\n..two\nGrüße an München";
  const summary = "Käse: 失敗\r\nBcc: other@example.org";
  expect(await sendNotification(target(server.port), { ...notification, summary, detail }, never)).toEqual({
    kind: "told",
  });
  expect(server.mails).toHaveLength(1);
  const { fields, body } = parsed(server.mails[0]?.text);
  expect(body.replaceAll("\r\n", "\n")).toContain(detail.replaceAll("\r\n", "\n"));
  expect(fields.has("bcc")).toBe(false);
  const words = [...(fields.get("subject") ?? "").matchAll(/=\?UTF-8\?([BQ])\?(.*?)\?=/g)].map(([, way, word = ""]) =>
    way === "B"
      ? Buffer.from(word, "base64")
      : Buffer.from(
          word
            .replaceAll("_", " ")
            .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          "latin1",
        ),
  );
  expect(Buffer.concat(words).toString("utf8")).toContain("Käse: 失敗");
  expect(server.commands.filter((line) => line.startsWith("RCPT"))).toHaveLength(2);
});

test("a recipient that is refused is named, and no attempt follows, because the others have it", async () => {
  const server = await mailServer({ answers: new Map([["RCPT night@example.org", "550 5.1.1 no such mailbox"]]) });
  expect(await sendNotification(target(server.port), notification, never)).toEqual({
    kind: "failed",
    why: expect.stringMatching(
      /refused 1 of 2 recipients: night@example.org .*550 5.1.1 no such mailbox.*the others have/,
    ),
    permanent: true,
  });
  expect(server.mails).toMatchObject([{ to: ["ops@example.org"] }]);
});

test.each([
  ["550 5.7.1 not from here", true],
  ["451 4.7.1 later", false],
])("a sender that is answered %p: final is %p", async (answer, permanent) => {
  const server = await mailServer({ answers: new Map([["MAIL", answer]]) });
  expect(await sendNotification(target(server.port), notification, never)).toEqual({
    kind: "failed",
    why: expect.stringContaining(answer),
    permanent,
  });
  expect(server.mails).toEqual([]);
});

test.each(["greeting", "EHLO", "MAIL", "DATA", "message"])(
  "a server that hangs at %p costs the time limit and no connection",
  async (stage) => {
    const server = await mailServer({ answers: new Map([[stage, undefined]]) });
    expect(await sendNotification(target(server.port, {}, 200), notification, never)).toMatchObject({
      kind: "failed",
      permanent: false,
    });
    while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  },
);

test("a gateway that stops waits for no mail server", async () => {
  const server = await mailServer({ answers: new Map([["DATA", undefined]]) });
  const stop = new AbortController();
  const sending = sendNotification(target(server.port, {}, 600_000), notification, stop.signal);
  while (!server.commands.includes("DATA")) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  expect(await sending).toEqual({ kind: "failed", why: "the gateway is stopping", permanent: false });
});

test("no server at all is a failure that is tried again", async () => {
  expect(await sendNotification(target(1), notification, never)).toMatchObject({ kind: "failed", permanent: false });
});

const secured: Partial<SmtpReceiver> = {
  ...{ host: "localhost", starttls: "required", ca: certificateLocalhost.cert, user: "stead", password: "p ä" },
};

test("STARTTLS comes before name, password and message; the certificate is checked", async () => {
  const server = await mailServer({ offersStarttls: true, login: { user: "stead", password: "p ä" } });
  expect(await sendNotification(target(server.port, secured), notification, never)).toEqual({ kind: "told" });
  const order = server.commands.map((line) => line.split(" ")[0] ?? "").filter((command) => command !== "QUIT");
  expect(order).toEqual(["EHLO", "STARTTLS", "TLS", "EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA"]);
  const stranger = await sendNotification(target(server.port, { ...secured, ca: undefined }), notification, never);
  expect(stranger).toMatchObject({ kind: "failed" });
  expect(server.mails).toHaveLength(1);
});

test("a server without STARTTLS gets neither password nor message", async () => {
  const server = await mailServer({ login: { user: "stead", password: "p ä" } });
  expect(await sendNotification(target(server.port, secured), notification, never)).toMatchObject({ kind: "failed" });
  expect(server.commands.some((line) => /^(?:AUTH|MAIL)/.test(line))).toBe(false);
});

test("a wrong password is final", async () => {
  const server = await mailServer({ offersStarttls: true, login: { user: "stead", password: "other" } });
  expect(await sendNotification(target(server.port, secured), notification, never)).toEqual({
    kind: "failed",
    why: expect.stringContaining("535"),
    permanent: true,
  });
});
