import { afterAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "stead-orphans-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Needs a PID namespace of its own, which only root may make: elsewhere it is left out.
test.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "as process 1 it clears away the orphans of others, and still hears of its own children",
  async () => {
    const program = `import { spawn } from "node:child_process";
    import { readdirSync, readFileSync, writeFileSync } from "node:fs";
    import { reapOrphans } from "${join(import.meta.dir, "../../../src/host/application/orphans.ts")}";
    await reapOrphans((text) => { throw new Error(text); });
    const own = (code) => new Promise((resolve) => spawn("sh", ["-c", "exit " + code], { stdio: "ignore" }).once("exit", resolve));
    // Twenty that outlive their parent, so that they become children of process 1.
    await new Promise((resolve) => spawn("sh", ["-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sleep 0.2 & ); done"], { stdio: "ignore" }).once("exit", resolve));
    const children = () => readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name) && name !== "1").length;
    const most = children();
    const codes = [];
    while (children() > 0) { codes.push(await own(7)); await new Promise((resolve) => setTimeout(resolve, 50)); }
    writeFileSync("${folder}/result", JSON.stringify({ pid: process.pid, most, codes: [...new Set(codes)] }));`;
    const child = spawn("unshare", ["--pid", "--fork", "--mount-proc", process.execPath, "-e", program], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    await new Promise((resolve) => child.once("exit", resolve));
    expect(existsSync(join(folder, "result"))).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, "result"), "utf8"))).toEqual({
      pid: 1,
      most: expect.any(Number),
      codes: [7],
    });
  },
  20_000,
);
