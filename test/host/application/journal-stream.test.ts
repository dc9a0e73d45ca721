/** The stream to the journal: what it is told first, and what happens without a journal. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JournalStream } from "../../../src/host/application/journal-stream.ts";
import { PrefixedOutput } from "../../../src/host/application/prefixed-output.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

let folder: string;
let path: string;
let server: Server | undefined;
let warnings: string[];
let connections: { text: string; socket: Socket }[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-journal-"));
  path = join(folder, "stdout");
  warnings = [];
  connections = [];
});
afterEach(() => {
  for (const { socket } of connections) socket.destroy();
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const listen = async (): Promise<void> => {
  server = createServer((socket) => {
    const connection = { text: "", socket };
    connections.push(connection);
    socket.on("data", (bytes) => (connection.text += bytes.toString()));
  });
  await new Promise<void>((resolve) => server?.listen(path, resolve));
};
const streamWith = (clock: ManualClock): JournalStream =>
  new JournalStream({ identifier: "notes", clock, path, onWarning: (text) => warnings.push(text) });
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
};

test("the application's lines have the service's name, and cannot choose a priority", async () => {
  await listen();
  const output = new PrefixedOutput(streamWith(new ManualClock()), "");
  output.take(Buffer.from("ready\n<0>forged\n\u001b[2Kno escapes\n"));
  await until(() => connections[0]?.text.endsWith("no escapes\n") === true);
  expect(connections.map(({ text }) => text)).toEqual([
    "notes\n\n6\n0\n0\n0\n0\nready\n<0>forged\n\\x1b[2Kno escapes\n",
  ]);
  expect(warnings).toEqual([]);
});

test("without a journal lines are left out, which is told once, and counted when it is there again", async () => {
  const clock = new ManualClock();
  const output = new PrefixedOutput(streamWith(clock), "");
  output.take(Buffer.from("lost\n"));
  await until(() => warnings.length > 0);
  output.take(Buffer.from("lost\nlost\n"));
  await listen();
  clock.advance(1_000);
  output.take(Buffer.from("kept\n"));
  await until(() => connections[0]?.text.endsWith("kept\n") === true);
  expect(connections[0]?.text).toContain("\n(2 lines left out: the log was not read)\nkept\n");
  expect(warnings).toEqual([expect.stringContaining("the journal does not take it")]);
});

test("a stream that breaks is opened again", async () => {
  await listen();
  const clock = new ManualClock();
  const stream = streamWith(clock);
  stream.write("one\n");
  await until(() => connections[0]?.text.endsWith("one\n") === true);
  connections[0]?.socket.destroy();
  await until(() => {
    clock.advance(1_000);
    stream.write("two\n");
    return connections[1]?.text.endsWith("two\n") === true;
  });
  expect(connections[1]?.text).toStartWith("notes\n\n6\n");
});
