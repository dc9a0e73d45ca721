/** Where this machine lets the application's output go, for the start of a host and `stead config check`. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ApplicationLogError,
  assertApplicationLog,
  checkApplicationLog,
} from "../../../src/host/application/application-log.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-application-log-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const foundAt = (name: string): string | undefined =>
  checkApplicationLog({ kind: "file", path: join(folder, name) })?.found;

test("the host's own log, a new file and one that is there are accepted", () => {
  writeFileSync(join(folder, "there.log"), "");
  expect(checkApplicationLog({ kind: "prefixed" })).toBeUndefined();
  expect([foundAt("there.log"), foundAt("new.log")]).toEqual([undefined, undefined]);
});

test.each<[string, string, () => void]>([
  ["a folder that is not there", "ENOENT", () => undefined],
  ["a folder in its place", "it is a folder", () => mkdirSync(join(folder, "no/notes.log"), { recursive: true })],
  [
    "a link in its place",
    "it is a symbolic link",
    () => {
      mkdirSync(join(folder, "no"));
      symlinkSync("/etc/passwd", join(folder, "no/notes.log"));
    },
  ],
])("%s is refused, with the reason", (_, why, make) => {
  make();
  expect(foundAt("no/notes.log")).toBe(`${join(folder, "no/notes.log")}, which cannot be written (${why})`);
  const log = { kind: "file", path: join(folder, "no/notes.log") } as const;
  expect(() => assertApplicationLog(log)).toThrow(ApplicationLogError);
});

test("the journal is refused where there is none", async () => {
  const socket = join(folder, "stdout");
  expect(checkApplicationLog({ kind: "journald" }, socket)?.found).toContain(`no socket ${socket}`);
  const server = createServer().listen(socket);
  await new Promise((resolve) => server.once("listening", resolve));
  expect(checkApplicationLog({ kind: "journald" }, socket)).toBeUndefined();
  server.close();
});
