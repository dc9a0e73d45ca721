/** A control API with metrics under any runtime: prints its port, and ends at the end of standard input. */
import { jsonBody, limitBody } from "../../../src/control/server/body.ts";
import { createApi } from "../../../src/control/server/api.ts";
import { authenticate, clusterSecret } from "../../../src/control/server/authentication.ts";
import { listenApi } from "../../../src/control/server/listener.ts";
import { removalSchema } from "../../../src/control/host-api.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { systemLog } from "../../../src/runtime/log.ts";

const metrics = new PrometheusMetrics(hostMetrics);
metrics.histogram("stead_vault_operation_seconds", { operation: "put", result: "ok" }).observe(0.003);
const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: systemLog("host") });
app.use(authenticate(clusterSecret(process.argv[2] ?? "")), limitBody());
app.get("/metrics", async (c) => c.text(await metrics.text(), 200, { "content-type": metrics.contentType }));
app.post("/v1/removed", jsonBody(removalSchema), (c) => c.json(c.req.valid("json")));
const listener = await listenApi(app, { host: "127.0.0.1", port: 0 });
process.stdout.write(`${listener.port}\n`);
process.stdin.resume();
process.stdin.once("end", () => void listener.close().then(() => process.exit(0)));
