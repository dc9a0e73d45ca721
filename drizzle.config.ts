/** For `drizzle-kit generate`; afterwards `bun scripts/embed-migrations.ts` puts the files into the build. */
import { defineConfig } from "drizzle-kit";

export default defineConfig({ dialect: "sqlite", schema: "./src/gateway/state/schema.ts", out: "./migrations" });
