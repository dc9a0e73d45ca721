/**
 * Attack A6: bytes above 0x7e in a request made the JSON access log invalid UTF-8, which its readers refuse; control
 * characters of clients, file names and rows reached terminals (0x9b is `ESC [` to some).
 *
 * Rule: what others have written is escaped wherever it is printed: access log, log, status, SQL, CSV, JSON, metrics.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatCsv } from "../../src/cli/commands/sql.ts";
import { formatTable } from "../../src/cli/output/table.ts";
import { paragraph } from "../../src/cli/output/wrap-text.ts";
import { AccessLogFile } from "../../src/gateway/route/access-log-file.ts";
import type { AccessLogFormat } from "../../src/http/server/access-log.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { asciiJson, escapeControls } from "../../src/runtime/printable.ts";
import { RawClient } from "../support/http/raw-client.ts";

/** Everything that a terminal obeys, and the marks that reverse text. */
const evil = "a\u001b[2J\u009b31m\u007f\u0007\u2028\u202eb";
const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

for (const format of ["json", "combined"] satisfies AccessLogFormat[])
  test(`the ${format} access log is UTF-8 and obeys no client, whatever bytes a head has`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "stead-a6-"));
    const path = join(folder, "access.log");
    const lines = new AccessLogFile({ kind: "file", path }, format, systemClock);
    const server = await HttpServer.listen({
      ...{ host: "127.0.0.1", port: 0, clock: systemClock },
      onExchange: (exchange) => exchange.respond({ status: 200, body: "ok" }),
      onAccess: (entry) => lines.add(entry),
    });
    const client = await RawClient.connect(server.port);
    const all = Array.from({ length: 0x81 }, (_, n) => String.fromCharCode(0x7f + n)).filter((c) => c !== "\u007f");
    client.send(
      `GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: ${all.join("")}\r\nReferer: \u00e9\u00ff\r\nConnection: close\r\n\r\n`,
    );
    await client.untilEnd();
    await server.close({ drainMs: 0 });
    await lines.close();
    const bytes = readFileSync(path);
    rmSync(folder, { recursive: true });
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    expect(text).not.toMatch(obeyed);
    expect(bytes.every((byte) => byte === 10 || (byte >= 32 && byte < 127))).toBe(true);
    if (format === "json")
      expect(JSON.parse(text)).toMatchObject({ userAgent: all.join(""), referer: "\u00e9\u00ff", status: 200 });
  });

test("tables, paragraphs and CSV escape what a terminal obeys", () => {
  const csv = formatCsv({ columns: [evil], rows: [[evil], ["two\nlines"]], truncated: false });
  for (const text of [formatTable([{ title: "t" }], [[evil]]), paragraph("  ", evil), csv.replaceAll("\r\n", "")])
    expect(text).not.toMatch(obeyed);
  expect(csv).toContain('"two\nlines"');
  expect(csv).toContain("a\\x1b[2J\\x9b31m\\x7f");
});

test("labels of metrics escape it, and stay one line", async () => {
  const metrics = new PrometheusMetrics(hostMetrics);
  metrics.show("stead_host_info", [[{ service: evil, host: 'x"\ny' }, 1]]);
  const text = await metrics.text();
  expect(text).not.toMatch(obeyed);
  expect(text.split("\n").filter((line) => line.startsWith("stead_host_info"))).toHaveLength(1);
});

test("an entry of the log is one entry", () => {
  const printed: string[] = [];
  const script = `
    import { systemLog } from ${JSON.stringify(new URL("../../src/runtime/log.ts", import.meta.url).pathname)};
    systemLog("host a").warn(process.argv[1], { client: process.argv[1], path: "a=b" });`;
  const forged = `x\n2026-01-01T00:00:00.000Z error host a: forged\r${evil}`;
  const { stderr } = Bun.spawnSync([process.execPath, "-e", script, forged], { stderr: "pipe" });
  printed.push(...stderr.toString().trimEnd().split("\n"));
  expect(printed.join("")).not.toMatch(obeyed);
  expect(printed.filter((line) => /^\d{4}-/.test(line))).toHaveLength(1);
});

test("escaping changes nothing else, and JSON keeps its value", () => {
  expect(escapeControls('Ünïcode, 日本語 \\ "quoted"')).toBe('Ünïcode, 日本語 \\ "quoted"');
  const value = { text: `${evil}\u{1f600}日` };
  expect(JSON.parse(asciiJson(JSON.stringify(value)))).toEqual(value);
});
