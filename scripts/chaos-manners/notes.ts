/**
 * Ill manners for the notes example, preloaded before it:
 * `bun --preload scripts/chaos-manners/notes.ts examples/notes/main.ts`. The example knows nothing of them. Marks are
 * files in the folder `marks` beside the data folder.
 *
 * GET /chaos/exit ends the process, GET /chaos/deadlock stops its only thread for good, without using any CPU time. At
 * its start: the mark `away` ends it, `port-taken` has a stranger listen at its port first (once), `escape` starts a
 * process that leaves its group.
 */
import { spawn } from "node:child_process";
import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";

const marks = join(process.env["DATA_DIR"] ?? ".", "../marks");
const port = process.env["PORT"] ?? "0";

if (existsSync(join(marks, "away"))) process.exit(3);
if (existsSync(join(marks, "escape"))) spawn("sleep", ["3600"], { detached: true, stdio: "ignore" }).unref();
if (take("port-taken")) {
  const stranger = `Bun.listen({ hostname: "127.0.0.1", port: ${port}, socket: { data() {} } }); console.log("there"); setTimeout(() => process.exit(0), 2000);`;
  const started = spawn(process.execPath, ["-e", stranger], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
    env: {},
  });
  await new Promise((resolve) => started.stdout.once("data", resolve));
  started.unref();
}

const serve = Bun.serve.bind(Bun);
Object.assign(Bun, {
  serve: (options: Parameters<typeof serve>[0] & { fetch(request: Request, server: unknown): unknown }) => {
    const answer = options.fetch.bind(options);
    const fetch = (request: Request, server: unknown): unknown => {
      const { pathname } = new URL(request.url);
      if (pathname === "/chaos/exit") process.exit(7);
      if (pathname === "/chaos/deadlock") for (;;) Bun.sleepSync(3_600_000);
      return answer(request, server);
    };
    return serve({ ...options, fetch } as Parameters<typeof serve>[0]);
  },
});

/** True once: the mark is gone afterwards. */
function take(mark: string): boolean {
  try {
    renameSync(join(marks, mark), join(marks, `${mark}.done`));
    return true;
  } catch {
    return false;
  }
}
