/**
 * `import { gateway } from "stead"`: each example of examples/embed under its runtime, as a process of its own, bundled
 * as the npm package is. The service is a plain host, which is taken away and comes back.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findRuntime } from "../../scripts/lib/runtimes.ts";
import packageFile from "../../package.json" with { type: "json" };
import { ChannelClient } from "../../src/control/channel/client.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { operator } from "../../src/control/channel/transcript.ts";
import { GatewayClient } from "../../src/control/gateway-client.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { freePorts } from "../../src/runtime/free-ports.ts";

setDefaultTimeout(60_000);

const secret = "0123456789abcdef0123456789abcdef";
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "stead-embed-"));
/** Below the repository, whose packages the scripts import. */
const scripts = join(root, "dist", `embed-${process.pid}`);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(scripts, { recursive: true, force: true });
});

async function bundled(name: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [join(root, "examples/embed", `${name}.ts`)],
    ...{ target: "node", format: "esm", outdir: scripts, naming: "[name].mjs" },
    external: ["bun:*", ...Object.keys(packageFile.dependencies)],
    define: { STEAD_MAIN: JSON.stringify(pathToFileURL(join(root, "src/main.ts")).href) },
  });
  return result.outputs[0]?.path ?? "";
}

const runtimes = [
  { name: "bun", command: [process.execPath] as const },
  ...(["node", "deno"] as const).flatMap((name) => {
    const found = findRuntime(name);
    if (found.kind === "found")
      return [{ name, command: name === "deno" ? [found.command[0], "run", "-A"] : found.command }];
    console.log(`the library is not tested under ${name}: ${found.why}`);
    return [];
  }),
];

describe.each(runtimes)("under $name", ({ name, command }) => {
  let child: ChildProcess;
  let url = "";
  let log = "";
  let backend: ReturnType<typeof Bun.serve> | undefined;
  let backendPort = 0;
  const seen: Record<string, string | null>[] = [];

  const startBackend = (): void => {
    backend = Bun.serve({
      hostname: "127.0.0.1",
      port: backendPort,
      fetch: async (request) => {
        if (new URL(request.url).pathname === "/health") return new Response("ok");
        seen.push({ for: request.headers.get("x-forwarded-for"), body: await request.text() });
        return new Response(`${request.method} ${new URL(request.url).pathname}`, { status: 201 });
      },
    });
  };

  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    backendPort = port;
    startBackend();
    const own = join(folder, name);
    mkdirSync(own);
    const config = [
      `[cluster]\nsecret = "${secret}"`,
      '[gateway]\nid = "gw1"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\ndatabase = "gateway.db"',
      '[[service]]\nname = "app"',
      `[[service.host]]\nid = "a"\ncontrol = "none"\nurl = "http://127.0.0.1:${port}"\nhealth = "/health"`,
    ];
    writeFileSync(join(own, "stead.toml"), `${config.join("\n")}\n`);
    const [program = "", ...leading] = command;
    child = spawn(program, [...leading, await bundled(name)], {
      ...{ cwd: own, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PORT: "0" } },
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    let said = "";
    for await (const chunk of child.stdout ?? []) {
      said += String(chunk);
      const found = /listening on (\d+)/.exec(said)?.[1];
      if (found !== undefined) {
        url = `http://127.0.0.1:${found}`;
        break;
      }
    }
  });
  afterAll(async () => {
    if (child.exitCode === null) child.kill("SIGKILL");
    await backend?.stop(true);
  });

  test("a route of the program is its own, another request goes to the primary with the client's address", async () => {
    expect(await (await fetch(`${url}/about`)).text()).toBe("mine\n");
    const answer = await fetch(`${url}/notes`, { method: "POST", body: "kept" });
    expect([answer.status, await answer.text()]).toEqual([201, "POST /notes"]);
    expect(seen).toEqual([{ for: "127.0.0.1", body: "kept" }]);
  });

  test("a request is held while there is no primary, and answered when it is back", async () => {
    await backend?.stop(true);
    const held = fetch(`${url}/held`);
    const admin = /administration on (\S+)/.exec(log)?.[1] ?? "";
    const caller = new ChannelClient(new Keyring([secret], undefined), operator, systemClock);
    const client = new GatewayClient(`http://${admin}`, caller, systemClock);
    for (let waiting = 0; waiting !== 1; ) {
      const status = await client.cluster();
      if (status.kind === "ok") waiting = status.value.services[0]?.waiting.requests ?? 0;
    }
    startBackend();
    expect(await (await held).text()).toBe("GET /held");
  });

  test("it stops cleanly", async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect((await ended)[0]).toBe(0);
  });
});
