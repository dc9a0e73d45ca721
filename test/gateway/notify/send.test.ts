import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NotifyTarget } from "../../../src/config/types.ts";
import type { Notification } from "../../../src/core/notify/notification.ts";
import { sendNotification } from "../../../src/gateway/notify/send.ts";

const notification: Notification = {
  ...{ id: "notes/primary/7", kind: "failover", severity: "warning", service: "notes", host: "b", gateway: "g1" },
  ...{ atMs: Date.UTC(2030, 0, 1), summary: "notes: failover from a to b", detail: "Epoch 7, kill." },
};
const never = new AbortController().signal;

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let server: Server;
let received: Received[];
let status: number;
let folder: string;

beforeEach(async () => {
  received = [];
  status = 200;
  folder = mkdtempSync(join(tmpdir(), "stead-send-"));
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
      response.writeHead(status, status === 307 ? { location: "/elsewhere" } : {}).end("ok");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

type Http = Extract<NotifyTarget["to"], { kind: "http" }>;

const http = (change: Partial<Http> = {}): NotifyTarget => ({
  ...{ name: "pager", timeoutMs: 10_000, kinds: undefined, severity: "info", services: undefined },
  to: {
    ...{ kind: "http", format: "webhook", url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` },
    ...{ secret: undefined, bearer: undefined, routingKey: undefined, topic: undefined },
    ...change,
  },
});

const command = (script: string, timeoutMs = 10_000): NotifyTarget => {
  const path = join(folder, "tell");
  writeFileSync(path, script);
  return {
    ...{ name: "script", timeoutMs, kinds: undefined, severity: "info", services: undefined },
    to: { kind: "command", command: ["/bin/sh", path], folder },
  };
};

const bodies = (): unknown[] => received.map(({ body }) => JSON.parse(body) as unknown);

describe("a webhook", () => {
  test("gets the notification as JSON, signed so that a receiver can verify it", async () => {
    expect(await sendNotification(http({ secret: "a-secret", bearer: "t0ken" }), notification, never)).toEqual({
      kind: "told",
    });
    const [{ headers, body } = { headers: {}, body: "" }] = received;
    const [, time = "", mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["stead-signature"])) ?? [];
    expect(mac).toBe(createHmac("sha256", "a-secret").update(`${time}.${body}`).digest("hex"));
    expect(Math.abs(Date.now() / 1000 - Number(time))).toBeLessThan(300);
    expect(headers).toMatchObject({ authorization: "Bearer t0ken", "stead-notification": "notes/primary/7" });
    expect(JSON.parse(body)).toEqual({
      ...{ version: 1, id: "notes/primary/7", kind: "failover", severity: "warning", service: "notes", host: "b" },
      ...{ gateway: "g1", at: "2030-01-01T00:00:00.000Z", summary: "notes: failover from a to b" },
      detail: "Epoch 7, kill.",
    });
  });

  test.each([
    [500, false],
    [429, false],
    [404, true],
    [307, true],
  ])("that answers %d is not told, permanent: %p", async (answer, permanent) => {
    status = answer;
    const outcome = await sendNotification(http(), notification, never);
    expect(outcome).toEqual({ kind: "failed", why: `answered with ${answer}`, permanent });
    expect(received).toHaveLength(1);
  });

  test("that cannot be reached is not told", async () => {
    const outcome = await sendNotification(http({ url: "http://127.0.0.1:1/" }), notification, never);
    expect(outcome).toMatchObject({ kind: "failed", permanent: false });
  });
});

test("Slack, Teams, PagerDuty and ntfy get what they expect", async () => {
  await sendNotification(http({ format: "slack" }), notification, never);
  await sendNotification(http({ format: "teams" }), notification, never);
  await sendNotification(http({ format: "pagerduty", routingKey: "key" }), notification, never);
  await sendNotification(http({ format: "ntfy", topic: "stead" }), notification, never);
  const title = "[warning] notes: failover from a to b";
  expect(bodies()).toMatchObject([
    { text: `*${title}*\nEpoch 7, kill.` },
    { type: "message", attachments: [{ content: { type: "AdaptiveCard", body: [{ text: title }, {}, {}] } }] },
    {
      ...{ routing_key: "key", event_action: "trigger", dedup_key: "notes/primary/7" },
      payload: { summary: title, severity: "warning", source: "stead gateway g1" },
    },
    { topic: "stead", title, message: "Epoch 7, kill.", priority: 4 },
  ]);
});

describe("a command", () => {
  test("has the notification in its environment and on its standard input", async () => {
    const target = command(`cat > ${folder}/in; echo "$STEAD_KIND $STEAD_SERVICE $STEAD_NOTIFICATION" > ${folder}/env`);
    expect(await sendNotification(target, notification, never)).toEqual({ kind: "told" });
    expect(readFileSync(join(folder, "env"), "utf8")).toBe("failover notes notes/primary/7\n");
    expect(JSON.parse(readFileSync(join(folder, "in"), "utf8"))).toMatchObject({ id: "notes/primary/7", version: 1 });
  });

  test("that fails, or ignores its standard input, says how it ended", async () => {
    const outcome = await sendNotification(command("exit 3"), notification, never);
    expect(outcome).toEqual({ kind: "failed", why: "ended with code 3", permanent: false });
  });

  test("that hangs is killed with what it has started", async () => {
    const target = command(`sleep 600 & echo $! > ${folder}/pid; wait`, 300);
    const outcome = await sendNotification(target, notification, never);
    expect(outcome).toEqual({ kind: "failed", why: "did not end within 300 ms and is killed", permanent: false });
    const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
    for (;;) {
      try {
        if (readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")) break;
      } catch {
        break;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  test("that does not exist is not told", async () => {
    const target = { ...command(""), to: { kind: "command", command: ["/no/such/program"], folder } } as const;
    expect(await sendNotification(target, notification, never)).toMatchObject({ kind: "failed" });
  });
});
