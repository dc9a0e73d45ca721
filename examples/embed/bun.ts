/** A gateway inside of a program's own Bun.serve: `/about` is the program's, everything else goes to the primary. */
import { Hono } from "hono";
import { gateway } from "stead";

const front = await gateway({ config: "stead.toml" });
const app = new Hono();
app.get("/about", (c) => c.text("mine\n"));
app.route("/", front.app);
const server = Bun.serve({ hostname: "127.0.0.1", port: Number(process.env["PORT"] ?? "8080"), fetch: app.fetch });
console.log(`listening on ${server.port}`);

process.once("SIGTERM", () => {
  void server.stop(true).then(async () => {
    await front.close();
    process.exit(0);
  });
});
