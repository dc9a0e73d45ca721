import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-page-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "page.html"), "<h1>Soon</h1>");
writeFileSync(join(folder, "empty.html"), "");
writeFileSync(join(folder, "latin1.html"), Buffer.from([0x3c, 0xe4, 0x3e]));
writeFileSync(join(folder, "large.html"), Buffer.alloc(256 * 1024 + 1, 0x20));

const maintenanceOf = (lines: string) => {
  const text = `[[service]]\nname = "notes"\n[service.maintenance]\n${lines}\n`;
  const result = parseConfig(join(folder, "stead.toml"), text, { env: {} });
  return result.kind === "ok" ? result.config.services[0]?.maintenance : result.problems;
};

test("the page is read with the configuration, relative to its folder", () => {
  expect(maintenanceOf('page = "page.html"\nretry_after = "2m"')).toEqual({
    html: "<h1>Soon</h1>",
    retryAfterMs: 120_000,
  });
  expect(maintenanceOf('page = "built-in"')).toEqual({ html: undefined, retryAfterMs: 30_000 });
  expect(maintenanceOf("")).toBeUndefined();
});

test("a file that is no page is refused at its line", () => {
  for (const [name, why] of [
    ["absent.html", "cannot be read (ENOENT)"],
    ["empty.html", "is empty"],
    ["latin1.html", "is not UTF-8"],
    ["large.html", "has 262145 bytes"],
  ] as const)
    expect(maintenanceOf(`page = "${name}"`)).toEqual([
      expect.objectContaining({
        key: "service[0].maintenance.page",
        line: 4,
        found: `"${name}", which ${why}`,
        accepted: expect.stringContaining("HTML in UTF-8"),
      }),
    ]);
});
