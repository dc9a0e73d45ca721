/** A gateway inside of a program's own Deno.serve: `/about` is the program's, everything else goes to the primary. */
import { Hono } from "hono";
import { gateway } from "stead";

/** What is used of Deno here; its own types take its place in a project of Deno. */
declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen(address: { port: number }): void },
    handler: (request: Request, info: object) => Response | Promise<Response>,
  ): { shutdown(): Promise<void> };
};

const front = await gateway({ config: "stead.toml" });
const app = new Hono();
app.get("/about", (c) => c.text("mine\n"));
app.route("/", front.app);
const address = { hostname: "127.0.0.1", port: Number(process.env["PORT"] ?? "8080") };
const server = Deno.serve(
  { ...address, onListen: ({ port }) => console.log(`listening on ${port}`) },
  (request, info) => app.fetch(request, info),
);

process.once("SIGTERM", () => {
  void server.shutdown().then(async () => {
    await front.close();
    process.exit(0);
  });
});
