/** The writers of tar and .deb, read by the tools of the system, and the same bytes from the same entries. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deb } from "../../../scripts/packaging/deb.ts";
import { tar, type TarEntry, withFolders } from "../../../scripts/packaging/tar.ts";

const long = `usr/share/${"long-folder-name/".repeat(7)}name`;
const entries: readonly TarEntry[] = [
  { kind: "file", path: "usr/bin/tool", mode: 0o755, content: "#!/bin/sh\n" },
  { kind: "file", path: long, mode: 0o644, content: "x".repeat(1000) },
  { kind: "link", path: "usr/bin/alias", target: "tool" },
  { kind: "folder", path: "var/lib/own", mode: 0o700, uid: 70, gid: 71 },
];
const timeSeconds = 1_700_000_000;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-archives-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...command: string[]): string => {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: { ...process.env, TZ: "UTC", LC_ALL: "C" } });
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
  return stdout.toString();
};

test("tar reads what was written: modes, owners, times, links, long names, and every folder before what is in it", () => {
  const path = join(folder, "a.tar");
  writeFileSync(path, tar(withFolders(entries), timeSeconds));
  const lines = run("tar", "--numeric-owner", "-tvf", path).trim().split("\n");
  expect(lines).toContain("-rwxr-xr-x 0/0              10 2023-11-14 22:13 usr/bin/tool");
  expect(lines).toContain("lrwxrwxrwx 0/0               0 2023-11-14 22:13 usr/bin/alias -> tool");
  expect(lines).toContain("drwx------ 70/71             0 2023-11-14 22:13 var/lib/own/");
  const paths = lines.map((line) => line.split(" 22:13 ")[1]);
  expect(paths.indexOf("usr/")).toBeLessThan(paths.indexOf("usr/bin/"));
  run("tar", "--no-same-owner", "-xf", path, "-C", folder);
  expect(readFileSync(join(folder, long), "utf8")).toBe("x".repeat(1000));
  expect(statSync(join(folder, "usr/bin/tool")).mode & 0o777).toBe(0o755);
});

test("the order of the entries does not matter", () => {
  const bytes = tar(withFolders(entries), timeSeconds);
  expect(tar(withFolders(entries.toReversed()), timeSeconds).equals(bytes)).toBe(true);
  expect(tar(withFolders(entries), timeSeconds + 1).equals(bytes)).toBe(false);
});

test("a name that no tar header holds is refused", () => {
  expect(() => tar([{ kind: "folder", path: "n".repeat(160), mode: 0o755 }], 0)).toThrow("too long for a tar header");
});

test.skipIf(Bun.which("dpkg-deb") === null)("dpkg-deb reads a package", () => {
  const path = join(folder, "a.deb");
  const control = ["Package: tool", "Version: 1", "Architecture: all", "Maintainer: A <a@b>", "Description: a tool"];
  const scripts = { postinst: "#!/bin/sh\n" };
  writeFileSync(path, deb({ control, scripts, files: entries, timeSeconds, level: 1 }));
  expect(run("dpkg-deb", "-f", path, "Package", "Installed-Size")).toBe("Package: tool\nInstalled-Size: 4\n");
  expect(run("dpkg-deb", "-c", path)).toContain("root/root        10 2023-11-14 22:13 ./usr/bin/tool\n");
  const into = join(folder, "control");
  run("dpkg-deb", "-e", path, into);
  expect(statSync(join(into, "postinst")).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(into, "md5sums"), "utf8")).toContain("  usr/bin/tool\n");
});
