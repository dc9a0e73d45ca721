/** A gateway inside of a program's own @hono/node-server: `/about` is the program's, all else goes to the primary. */
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { gateway } from "stead";

const front = await gateway({ config: "stead.toml" });
const app = new Hono();
app.get("/about", (c) => c.text("mine\n"));
app.route("/", front.app);
const address = { hostname: "127.0.0.1", port: Number(process.env["PORT"] ?? "8080") };
const server = serve({ ...address, fetch: app.fetch }, ({ port }) => console.log(`listening on ${port}`));

process.once("SIGTERM", () => {
  server.close(() => void front.close().then(() => process.exit(0)));
  if ("closeAllConnections" in server) server.closeAllConnections();
});
