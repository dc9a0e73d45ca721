import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClusterSecrets } from "../../src/config/cluster-secrets.ts";
import { formatSecrets, readSecrets } from "../../src/config/secret.ts";
import type { LogFields, Logger } from "../../src/runtime/log.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

const [first, second] = ["the-first-secret-of-all", "the-second-secret-of-all"];
const folder = mkdtempSync(join(tmpdir(), "stead-secrets-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function put(text: string, path = join(folder, `secret-${++files}`)): string {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return path;
}

function open(path: string, clock = new ManualClock()) {
  const lines: string[] = [];
  const line = (what: string, fields: LogFields = {}): void => void lines.push(`${what} ${JSON.stringify(fields)}`);
  const log: Logger = { info: line, warn: line, error: line };
  const secrets = new ClusterSecrets({ secret: first, from: { kind: "file", path }, clock, log });
  return { secrets, lines, clock };
}

test("a file has the secret, and while it is rotated the former one with its end", () => {
  const former = { secret: first, untilMs: Date.parse("2030-01-31T12:00:00Z") };
  const text = formatSecrets({ secret: second, former });
  expect(text).toBe(`${second}\n${first} until 2030-01-31T12:00:00.000Z\n`);
  expect(readSecrets(put(text))).toEqual({ kind: "ok", secrets: { secret: second, former } });
  expect(readSecrets(put(`${first}\n`))).toEqual({ kind: "ok", secrets: { secret: first, former: undefined } });
});

test("a file with anything else in a second line is refused", () => {
  for (const line of [
    first,
    `${first} until tomorrow`,
    `${second} until 2030-01-31T12:00:00Z`,
    `x until 2030-01-31T12:00:00Z`,
  ])
    expect([line, readSecrets(put(`${second}\n${line}\n`)).kind]).toEqual([line, "invalid"]);
  const more = `${second}\n${first} until 2030-01-31T12:00:00Z\n${first} until 2030-01-31T12:00:00Z\n`;
  expect(readSecrets(put(more)).kind).toBe("invalid");
});

test("a changed file is read again without a restart, and tells its users once", () => {
  const path = put(`${first}\n`);
  const { secrets, lines, clock } = open(path);
  const seen: (readonly string[])[] = [];
  secrets.watch().use((valid) => seen.push(valid));
  put(formatSecrets({ secret: second, former: { secret: first, untilMs: 60_000 } }), path);
  clock.advance(1_000);
  clock.advance(1_000);
  expect(seen).toEqual([[first], [second, first]]);
  expect(lines).toEqual([expect.stringContaining("secret of the cluster reloaded")]);
  expect(lines.join()).not.toContain(first);
  secrets.close();
});

test("a former secret ends at its time by itself, and its line is named as left over", () => {
  const { secrets, clock } = open(put(formatSecrets({ secret: second, former: { secret: first, untilMs: 60_000 } })));
  expect([secrets.valid, secrets.former?.untilMs, secrets.warnings]).toEqual([[second, first], 60_000, []]);
  clock.advance(60_000);
  secrets.look();
  expect([secrets.valid, secrets.former, secrets.warnings]).toEqual([
    [second],
    undefined,
    [expect.stringContaining("still has the former secret")],
  ]);
});

test("a file that cannot be used changes nothing, is told once and shown until it is corrected", () => {
  const path = put(`${first}\n`);
  const { secrets, lines } = open(path);
  put("short\n", path);
  for (let looks = 0; looks < 3; looks++) secrets.look();
  rmSync(path);
  secrets.look();
  expect([secrets.valid, lines.length, secrets.warnings]).toEqual([[first], 2, [expect.stringContaining("ENOENT")]]);
  put(`${second}\n`, path);
  secrets.look();
  expect([secrets.valid, secrets.warnings]).toEqual([[second], []]);
});

test("a secret that was not from a file is followed in one that the configuration names later", () => {
  const secrets = new ClusterSecrets({
    ...{ secret: first, from: { kind: "environment" }, clock: new ManualClock() },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
  expect(secrets.place).toContain("STEAD_SECRET");
  const path = put(`${second}\n`);
  secrets.follow({ kind: "file", path });
  expect([secrets.valid, secrets.place]).toEqual([[second], path]);
});
