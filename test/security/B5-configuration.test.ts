/**
 * Attack: `stead status` in a folder where another user put a `stead.toml`: it names that user's address as the gateway
 * and a file that only the caller can read as the secret, which is then sent there.
 *
 * Rule: a configuration that is not named but found in the working folder must be of the caller or of root, and no
 * other user may change it or its folder (src/config/load.ts).
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

let folder: string;
let server: Server;
let port: number;
const received: string[] = [];
beforeEach(async () => {
  received.length = 0;
  folder = mkdtempSync(join(tmpdir(), "stead-found-"));
  server = createServer((request, response) => {
    received.push(request.headers.authorization ?? "");
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  mkdirSync(join(folder, "here"), { mode: 0o755 });
  writeFileSync(join(folder, "private"), "a text that only its owner reads\n".replaceAll(" ", "-"), { mode: 0o600 });
  write(join(folder, "here", "stead.toml"));
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const write = (path: string): void =>
  writeFileSync(
    path,
    `[cluster]\nsecret_file = "../private"\n[gateway]\nid = "g"\nlisten = "127.0.0.1:1"\nadmin = "127.0.0.1:${port}"\ndatabase = "g.db"\n[[service]]\nname = "notes"\n[[service.host]]\nid = "a"\ncontrol = "http://127.0.0.1:2"\n`,
    { mode: 0o644 },
  );
async function status(...args: readonly string[]): Promise<string> {
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const ran = Bun.spawn([process.execPath, main, "status", ...args], {
    cwd: join(folder, "here"),
    stdout: "ignore",
    stderr: "pipe",
  });
  const text = await new Response(ran.stderr).text();
  await ran.exited;
  return text;
}

const isRoot = process.geteuid?.() === 0;
const attacks: readonly (readonly [what: string, spoil: () => void])[] = [
  ["can be changed by all", () => chmodSync(join(folder, "here", "stead.toml"), 0o666)],
  ["lies in a folder that all can change", () => chmodSync(join(folder, "here"), 0o777)],
  // Only root can make a file of another user.
  ...(isRoot
    ? [["belongs to another user", () => chownSync(join(folder, "here", "stead.toml"), 12_345, 12_345)] as const]
    : []),
];
for (const [what, spoil] of attacks) {
  test(`a file in the working folder that ${what} is refused, and nothing is sent`, async () => {
    spoil();
    const text = await status();
    expect(text).toContain("accepted: in the working folder: a file of the user who runs this");
    expect(received).toEqual([]);
  });

  test(`the same file that ${what} is used when it is named`, async () => {
    spoil();
    await status("--config", "stead.toml");
    expect(received.length).toBeGreaterThan(0);
  });
}

test("the user's own file is used", async () => {
  await status();
  expect(received[0]).toStartWith("Stead-1 ");
});
