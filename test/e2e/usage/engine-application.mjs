// An application in JavaScript for tests of usage, under Node or Bun: <library> <module> [<actions>], where the library is one of SQLite.
// PORT and DATA_DIR are all else it gets. POST runs a JSON list of actions (engine-actions.ts) and answers with the result of the last; an error is
// 500 with its text. With a third argument it runs those actions instead, prints the result, and ends. engine_application.py is the same in Python.
import { execFile, execFileSync } from "node:child_process";
import { closeSync, existsSync, ftruncateSync, linkSync, openSync, readSync, renameSync, rmSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const [, script, library, module, once] = process.argv;
const data = process.env.DATA_DIR;

// Names are in the data folder; each character of one is a byte.
const place = (name) => Buffer.from(`${data}/${name}`, "latin1");
const uri = (name, query) => `file:${[...place(name)].map((byte) => (byte === 0x2f ? "/" : `%${byte.toString(16).padStart(2, "0")}`)).join("")}${query}`;
/** A path where one will do. */
const target = (name, query) => (query === "" && /^[ -~]*$/.test(name) ? `${data}/${name}` : uri(name, query));

const openers = {
  "node:sqlite": async (name, query) => new (await import("node:sqlite")).DatabaseSync(target(name, query)),
  "better-sqlite3": async (name, query) => new (await import(module)).default(target(name, query)),
  libsql: async (name, query) => new (await import(module)).default(target(name, query)),
  "bun:sqlite": async (name, query) => {
    const { constants, Database } = await import("bun:sqlite");
    return new Database(target(name, query), constants.SQLITE_OPEN_READWRITE | constants.SQLITE_OPEN_CREATE | constants.SQLITE_OPEN_URI);
  },
  "@tursodatabase/database": async (name) => (await import(module)).connect(`${data}/${name}`, { experimental: ["multiprocess_wal"] }),
};

const connections = new Map();
const descriptors = new Map();
const children = new Map();

const firstColumn = (rows) => rows.map((row) => Object.values(row)[0]);

const actions = {
  async open({ open, query = "", as = "main", timeoutMs = 5000 }) {
    const database = await openers[library](open, query);
    if (library !== "@tursodatabase/database") database.exec(`PRAGMA busy_timeout=${timeoutMs}`);
    connections.set(as, database);
  },
  exec: async ({ exec, on = "main" }) => void (await connections.get(on).exec(exec)),
  all: async ({ all, on = "main" }) => firstColumn(await (await connections.get(on).prepare(all)).all()),
  close({ close }) {
    connections.get(close).close();
    connections.delete(close);
  },
  /** How often it was kept out, however many tries each took. */
  hasty({ hasty, times, on = "main" }) {
    let [refused, wasRefused] = [0, false];
    for (let done = 0; done < times; ) {
      try {
        connections.get(on).exec(hasty);
        [done, wasRefused] = [done + 1, false];
      } catch (error) {
        if (!/locked|busy/i.test(String(error))) throw error;
        if (!wasRefused) refused += 1;
        wasRefused = true;
      }
    }
    return refused;
  },
  async each({ each, run }) {
    let result = null;
    for (let round = 0; round < each; round++) result = await runAll(JSON.parse(JSON.stringify(run).replaceAll("$i", String(round))));
    return result;
  },
  rename: ({ rename: [from, to] }) => renameSync(place(from), place(to)),
  renameIfThere({ renameIfThere: [from, to] }) {
    if (existsSync(place(from))) renameSync(place(from), place(to));
  },
  link: ({ link: [from, to] }) => linkSync(place(from), place(to)),
  symlink: ({ symlink: [to, name] }) => symlinkSync(to, place(name)),
  text: ({ text, to }) => writeFileSync(place(to), text),
  remove: ({ remove }) => remove.forEach((name) => rmSync(place(name), { force: true })),
  allocate({ allocate, bytes }) {
    const descriptor = openSync(place(allocate), "w");
    ftruncateSync(descriptor, bytes);
    descriptors.set(allocate, descriptor);
  },
  part({ part, from, at, bytes }) {
    const content = Buffer.alloc(bytes);
    const source = openSync(place(from), "r");
    const length = readSync(source, content, 0, bytes, at);
    closeSync(source);
    writeSync(descriptors.get(part), content, 0, length, at);
  },
  release({ release }) {
    closeSync(descriptors.get(release));
    descriptors.delete(release);
  },
  cp: ({ cp: [from, to] }) => void execFileSync("cp", [`${data}/${from}`, `${data}/${to}`]),
  child({ child, run }) {
    const ended = new Promise((resolve) => {
      execFile(process.execPath, [script, library, module, JSON.stringify(run)], (error, stdout, stderr) => resolve(error === null ? JSON.parse(stdout) : stderr));
    });
    children.set(child, ended);
  },
  join: ({ join }) => children.get(join),
  /** Once this request is answered. */
  exit: () => void setTimeout(() => process.exit(1), 100),
};

async function act(action) {
  const [kind] = Object.keys(action);
  return (await actions[kind](action)) ?? null;
}

async function runAll(list) {
  let result = null;
  for (const action of list) result = await act(action);
  return result;
}

// One request after the other, as they come: each has the connections to itself.
let last = Promise.resolve();

async function answer(request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const mine = last.then(() => (body === "" ? "ok" : runAll(JSON.parse(body))));
  last = mine.catch(() => undefined);
  const [status, result] = await mine.then((value) => [200, value], (error) => [500, String(error)]);
  response.writeHead(status).end(JSON.stringify(result));
}

if (once === undefined) createServer(answer).listen(Number(process.env.PORT), "127.0.0.1");
else console.log(JSON.stringify(await runAll(JSON.parse(once))));
