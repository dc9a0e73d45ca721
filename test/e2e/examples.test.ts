/** The example applications by themselves, as anyone would write them: no word of stead. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoApplicationName, demoApplication } from "../../harness/applications.ts";
import { freePorts } from "../../src/runtime/free-ports.ts";
import { repositoryFile } from "../../src/runtime/self-command.ts";
import { systemClock } from "../../src/runtime/clock.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const started: ChildProcess[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await ended;
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function startApplication(
  name: DemoApplicationName,
): Promise<{ url: string; folder: string; child: ChildProcess }> {
  const folder = mkdtempSync(join(tmpdir(), "stead-example-test-"));
  folders.push(folder);
  const { command, readyPath } = demoApplication(name, folder);
  const [port] = await freePorts(1);
  const [program, ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, PORT: String(port), DATA_DIR: folder },
    stdio: ["ignore", "ignore", "inherit"],
  });
  started.push(child);
  const url = `http://127.0.0.1:${port}`;
  while ((await fetch(url + readyPath).catch(() => undefined))?.ok !== true) await systemClock.sleep(10);
  return { url, folder, child };
}

const send = (method: string, url: string, body: unknown): Promise<Response> =>
  fetch(url, { method, body: JSON.stringify(body) });

async function json(response: Response | Promise<Response>): Promise<unknown> {
  return (await response).json();
}

test("neither example names stead outside of its comments", () => {
  for (const path of [
    "examples/notes/notes.ts",
    "examples/notes/attachments.ts",
    "examples/notes/main.ts",
    "examples/ledger/ledger.py",
  ]) {
    const code = readFileSync(repositoryFile(path) ?? "", "utf8").replace(/\/\*[^]*?\*\/|"""[^]*?"""/g, "");
    expect(code.toLowerCase()).not.toContain("stead");
  }
});

describe("notes", () => {
  test("have attachments, each a row and a file, and no file is left without its row", async () => {
    const { url, folder } = await startApplication("notes");
    const names = (): string[] => readdirSync(join(folder, "attachments"));
    const upload = (note: number): Promise<Response> =>
      fetch(`${url}/notes/${note}/attachments`, { method: "POST", body: new Uint8Array([0, 255, 10]) });
    await send("POST", `${url}/notes`, { text: "a" });
    expect((await upload(2)).status).toBe(404);
    const attachment = await json(upload(1));
    expect(attachment).toMatchObject({ id: 1, note: 1, size: 3, file: names()[0] });
    expect(await json(fetch(`${url}/attachments`))).toEqual({ attachments: [attachment] });
    expect(await (await fetch(`${url}/attachments/1`)).bytes()).toEqual(new Uint8Array([0, 255, 10]));
    expect((await fetch(`${url}/attachments/1`, { method: "DELETE" })).status).toBe(204);
    expect((await fetch(`${url}/attachments/1`, { method: "DELETE" })).status).toBe(404);
    expect((await fetch(`${url}/attachments/1`)).status).toBe(404);
    expect(names()).toEqual([]);
  });

  test("keeps notes with their history, and a repeated PUT is no change", async () => {
    const { url } = await startApplication("notes");
    expect(await json(send("POST", `${url}/notes`, { text: "a" }))).toEqual({ id: 1, text: "a", revision: 1 });
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await json(send("PUT", `${url}/notes/1`, { text: "b" }))).toEqual({ id: 1, text: "b", revision: 2 });
    }
    expect(await json(fetch(`${url}/changes?after=1`))).toEqual({
      latest: 2,
      changes: [{ revision: 2, note: 1, text: "b" }],
    });
    expect((await send("PUT", `${url}/notes/9`, { text: "b" })).status).toBe(404);
    expect((await send("POST", `${url}/notes`, { title: "b" })).status).toBe(400);
  });

  test("sends every change as a server-sent event, and echoes web socket messages", async () => {
    const { url } = await startApplication("notes");
    const stream = await fetch(`${url}/events`);
    const reader = stream.body?.getReader();
    const next = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value);
    expect(await next()).toContain("event: latest");
    expect((await send("POST", `${url}/notes`, { text: "heard" })).status).toBe(201);
    expect(await next()).toContain('"text":"heard"');
    await reader?.cancel();
    const socket = new WebSocket(`${url.replace("http", "ws")}/echo`);
    const echoed = await new Promise((resolve, reject) => {
      socket.onopen = () => socket.send("hello");
      socket.onmessage = (event) => resolve(event.data);
      socket.onerror = reject;
    });
    socket.close();
    expect(echoed).toBe("hello");
  });

  test("stops at once when asked", async () => {
    const { child } = await startApplication("notes");
    const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });
});

describe("ledger", () => {
  test("does a transfer once, however often it is sent, and keeps the sum", async () => {
    const { url } = await startApplication("ledger");
    const wish = { id: "x", from: 1, to: 2, amount: 7 };
    const done = { seq: 1, ...wish };
    const first = await send("POST", `${url}/transfer`, wish);
    expect([first.status, await json(first)]).toEqual([201, done]);
    const again = await send("POST", `${url}/transfer`, wish);
    expect([again.status, await json(again)]).toEqual([200, done]);
    expect((await send("POST", `${url}/transfer`, { ...wish, amount: 8 })).status).toBe(409);
    expect((await send("POST", `${url}/transfer`, { id: "y", from: 1, to: 2, amount: 5000 })).status).toBe(409);
    expect((await send("POST", `${url}/transfer`, { id: "y", from: 1, to: 99, amount: 5 })).status).toBe(400);
    const { accounts } = (await json(fetch(`${url}/accounts`))) as { accounts: { id: number; balance: number }[] };
    expect(accounts.slice(0, 2)).toEqual([
      { id: 1, balance: 993 },
      { id: 2, balance: 1007 },
    ]);
    expect(accounts.reduce((sum, { balance }) => sum + balance, 0)).toBe(20_000);
    expect(await json(fetch(`${url}/transfers`))).toEqual({ latest: 1, transfers: [done] });
  });

  test("stops at once when asked", async () => {
    const { child } = await startApplication("ledger");
    const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });
});
