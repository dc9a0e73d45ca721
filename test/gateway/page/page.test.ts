import { expect, test } from "bun:test";
import type { ClusterStatus } from "../../../src/control/gateway-api.ts";
import type { DryRunAnswer } from "../../../src/control/failover-api.ts";
import type { TokenPrincipal } from "../../../src/control/server/authentication.ts";
import { type TokenRole, tokenRoles } from "../../../src/control/token.ts";
import { liveStreamsMax } from "../../../src/gateway/page/live-stream.tsx";
import { createPage } from "../../../src/gateway/page/page.tsx";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { clusterStatus, drillEntry, failoverEntry, host, service } from "../../support/gateway/status.ts";

const tokenOf = (role: TokenRole): string => `stead_${"0".repeat(15)}${tokenRoles.indexOf(role)}_${"x".repeat(43)}`;
const clusterSecret = "the-cluster-secret";
const markup = '<script>alert("x")</script>';

interface Call {
  readonly method: string;
  readonly path: string;
  readonly token: string;
  readonly body: unknown;
}

/** The page before an API that answers from `answers`, and records what it was asked. */
function visited({ status = clusterStatus(), answers = {} }: { status?: ClusterStatus; answers?: object } = {}) {
  const calls: Call[] = [];
  const revoked = new Set<string>();
  const holderOf = (token: string): TokenPrincipal | undefined => {
    const role = tokenRoles.find((each) => tokenOf(each) === token && !revoked.has(token));
    return role === undefined ? undefined : { kind: "token", id: "1", name: `a-${role}`, role };
  };
  const dryRun: DryRunAnswer = {
    ...{ service: "notes", phase: "serving", primary: "a", epoch: 3, wouldPromote: "b", order: ["b"], but: [] },
    ...{ whyNot: [{ host: "c", why: `nofailover ${markup}` }], obstacles: [], forceMayLose: "" },
    expected: [
      {
        kind: "kill",
        host: "b",
        gapMs: 400,
        phases: [{ phase: "detect", startMs: -100, ms: 100, source: `measured${markup}`, failovers: 2 }],
      },
    ],
  };
  const known: Record<string, unknown> = {
    "GET /v1/cluster": status,
    "GET /v1/dry-run/notes": dryRun,
    "GET /v1/config": {
      configuration: { file: "/etc/stead.toml", loadedAtMs: 1, refused: null },
      settings: { "gateway.id": markup },
      decidedAtRunTime: [],
      reloads: [
        {
          ...{ atMs: 1, refused: `why${markup}`, differencesLeftOut: 3 },
          differences: [{ key: `gateway.drain${markup}`, before: null, after: markup }],
        },
      ],
    },
    "GET /v1/restore-points/notes": {
      ...{ service: "notes", host: `a${markup}`, total: 3, damaged: [2] },
      checkpoints: [{ position: 9, wallTimeMs: 2_000, databases: 1, bytes: 4_096 }],
      earliest: { position: 1, wallTimeMs: 1_000 },
      latest: { position: 11, wallTimeMs: 3_000 },
      older: [{ position: 0, wallTimeMs: 500 }],
      keep: { checkpoints: 3, windowMs: 1_000 },
    },
    "GET /v1/samples/notes": {
      ...{ service: "notes", everyMs: 15_000, taken: 3, held: [0, 4, 1] },
      hosts: [{ host: "a", lag: [0, 2, null], leaseLeftMs: [4_000, -300, 4_600], vaultMs: [1, 2.5, 1] }],
    },
    "GET /v1/sight": {
      services: [
        {
          service: `notes${markup}`,
          views: ["g1", `g2${markup}`].map((gateway) => ({
            ...{ gateway, saidMsAgo: 5 },
            hosts: [{ host: `a${markup}`, health: "up", latencyMs: 1.5, ageMs: 40 }],
            gateways: [{ gateway: "g1", ageMs: 30 }],
          })),
        },
      ],
    },
    "GET /v1/drills": {
      drills: [
        {
          ...{ id: "1", service: markup, kind: markup, gateway: "g1", orderedBy: markup, startedAtMs: 1, to: markup },
          ...{ outcome: markup, from: markup, failover: markup, predictedMs: 1, rtoMs: 2, measuredBy: "phases" },
          ...{ objectiveMs: null, detail: markup },
        },
      ],
    },
    "POST /v1/sql": { columns: ["x"], rows: [], truncated: false },
    ...answers,
  };
  const page = createPage({
    ...{ gateway: "g1", holderOf, isSecure: false, clock: systemClock, random: systemRandom },
    async api(request) {
      const { pathname: path } = new URL(request.url);
      const token = (request.headers.get("authorization") ?? "").replace("Bearer ", "");
      const body = request.method === "GET" ? undefined : await request.text();
      calls.push({
        method: request.method,
        path,
        token,
        body: body === undefined || body === "" ? undefined : JSON.parse(body),
      });
      if (holderOf(token) === undefined && token !== clusterSecret)
        return Response.json({ error: "not authenticated", code: "unauthorized", advice: "" }, { status: 401 });
      const answer = known[`${request.method} ${path}`];
      return answer instanceof Response ? (answer.clone() as Response) : Response.json(answer ?? {});
    },
  });
  const ask = (path: string, init: RequestInit & { role?: TokenRole } = {}): Promise<Response> => {
    const { role, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (role !== undefined) headers.set("cookie", `stead_page=${tokenOf(role)}`);
    return Promise.resolve(page.request(`http://g${path}`, { ...rest, headers }));
  };
  const textOf = async (path: string, role: TokenRole = "viewer"): Promise<string> =>
    (await ask(path, { role })).text();
  const proofOf = async (role: TokenRole): Promise<string> =>
    /name="proof" value="([^"]+)"/.exec(await textOf("/", role))?.[1] ?? "";
  const post = (path: string, fields: Record<string, string>, init: RequestInit & { role?: TokenRole } = {}) =>
    ask(path, { method: "POST", body: new URLSearchParams(fields), ...init });
  return { ask, textOf, proofOf, post, calls, revoked };
}

const paths = [
  "/",
  "/services/notes",
  "/failovers",
  "/failovers/x",
  "/plan",
  "/sight",
  "/drills",
  "/events",
  "/data",
  "/suspects",
  "/configuration",
  "/configuration/reloads",
  "/sql",
];

test("without a valid token every view is the form to sign in, and nothing is asked or told", async () => {
  const { ask, calls } = visited();
  for (const path of [...paths, "/sql.csv?sql=select+1", "/orders/notes/switchover"]) {
    for (const cookie of [
      "",
      "stead_page=x",
      `stead_page=${clusterSecret}`,
      `stead_page=stead_${"1".repeat(16)}_${"y".repeat(43)}`,
    ]) {
      const answer = await ask(path, { headers: { cookie } });
      const text = await answer.text();
      expect([path, answer.status, text.includes("Sign in"), text.includes("notes")]).toEqual([
        path,
        401,
        true,
        path.includes("notes"),
      ]);
    }
  }
  expect((await ask("/live?path=/")).status).toBe(401);
  expect(calls).toEqual([]);
});

test("signs in with a token, in a cookie that no script and no other site has", async () => {
  const { post, calls } = visited();
  const answer = await post("/sign-in", { token: ` ${tokenOf("viewer")} `, next: "/failovers?page=2" });
  expect([answer.status, answer.headers.get("location")]).toEqual([303, "/failovers?page=2"]);
  const cookie = answer.headers.get("set-cookie") ?? "";
  expect(cookie).toStartWith(`stead_page=${tokenOf("viewer")};`);
  for (const attribute of ["HttpOnly", "SameSite=Strict", "Path=/"]) expect(cookie).toContain(attribute);
  expect(calls.map(({ path }) => path)).toEqual(["/v1/cluster"]);
});

test("refuses a wrong token, and the cluster's secret, which does not belong in a browser", async () => {
  const { post, calls } = visited();
  for (const token of ["", "wrong", clusterSecret]) {
    const answer = await post("/sign-in", { token });
    expect([token, answer.status, answer.headers.get("set-cookie")]).toEqual([token, 401, null]);
  }
  // The API is asked each time: it counts guesses, and records them.
  expect(calls.length).toBe(3);
});

test("signing in leads to a path of the page only", async () => {
  const { post } = visited();
  for (const next of ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "", "/\t/evil"]) {
    const answer = await post("/sign-in", { token: tokenOf("viewer"), next });
    expect([next, answer.headers.get("location")]).toEqual([next, "/"]);
  }
});

test("texts of applications, hosts and operators are never markup", async () => {
  const text = (value: string): string => `${value}${markup}`;
  const odd = host({
    id: text("a"),
    ...{ reason: text("reason"), notes: [text("note")], setAside: [text("/data/")] },
    suspects: [{ method: "GET", path: text("/"), endings: 2, trialInMs: 1, pauseMs: 1 }],
    application: { state: "failing", forMs: 1, detail: text("detail"), restarts: 0 },
  });
  const entry = failoverEntry({
    id: text("f"),
    from: text("x"),
    to: text("y"),
    kind: text("kill"),
    service: text("notes"),
  });
  const drill = {
    last: drillEntry({ kind: text("kill"), outcome: text("passed") }),
    next: { service: text("notes"), kind: text("hang"), at: text("03:00"), nextAtMs: 1 },
  };
  const status = clusterStatus({
    troubles: [text("trouble")],
    services: [{ ...service({ hosts: [odd], failovers: [entry], drill }), reason: text("reason") }],
  });
  const columns = ["at", "gateway", "host", "level", "what", "detail", "id", "service", "kind", "outcome", "cause"];
  const row = columns.map((name) => text(name));
  const sql = {
    columns: [...columns, text("column"), "decided_at"],
    rows: [[...row, text("value"), "2026-01-01T00:00:00.000Z"]],
    truncated: false,
  };
  const answers = { "POST /v1/sql": sql };
  const { textOf } = visited({ status, answers });
  for (const path of [
    ...paths,
    "/sql?sql=%3Cscript%3Ealert(%22x%22)",
    "/events?text=%3Cscript%3Ealert",
    "/orders/notes/switchover",
    `/nothing`,
  ]) {
    const found = await textOf(path, "operator");
    expect([path, found.match(/<script[^>]*>/g)?.filter((each) => !each.includes("/page/live.js")) ?? []]).toEqual([
      path,
      [],
    ]);
  }
  expect(await textOf("/")).toContain("reason&lt;script&gt;");
});

test("the policy lets nothing run or load but the page's own files, and lets no other page frame it", async () => {
  const { ask } = visited();
  for (const path of [...paths, "/page/live.js", "/sql.csv"]) {
    const { headers } = await ask(path, { role: "viewer" });
    const policy = headers.get("content-security-policy") ?? "";
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "frame-ancestors 'none'",
      "form-action 'self'",
    ])
      expect([path, policy]).toEqual([path, expect.stringContaining(rule) as unknown as string]);
    expect([path, policy.includes("unsafe")]).toEqual([path, false]);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("a view names no address of another server and has no style or handler in its markup", async () => {
  const { textOf } = visited();
  for (const path of paths) {
    const found = await textOf(path, "operator");
    expect([path, /(?:src|href|action)="(?!\/|#)/.exec(found)?.[0], / (?:style|on\w+)="/.exec(found)?.[0]]).toEqual([
      path,
      undefined,
      undefined,
    ]);
  }
});

test("an order is a call of the API with the visitor's token, and only a form of this page orders", async () => {
  const { post, proofOf, calls } = visited({
    answers: { "POST /v1/switchover": { service: "notes", primary: "b", epoch: 4 } },
  });
  const proof = await proofOf("operator");
  const orders = (): Call[] => calls.filter(({ method, path }) => method === "POST" && path !== "/v1/sql");
  const path = "/orders/notes/switchover";
  for (const [fields, headers] of [
    [{}, {}],
    [{ proof: "" }, {}],
    [{ proof: `${proof}x` }, {}],
    [{ proof: await proofOf("admin") }, {}],
    [{ proof }, { origin: "http://evil.example" }],
    [{ proof }, { origin: "null" }],
    [{ proof }, { "sec-fetch-site": "cross-site" }],
    [{ proof }, { "sec-fetch-site": "same-site" }],
  ] as const)
    expect([fields, headers, (await post(path, fields, { role: "operator", headers })).status]).toEqual([
      fields,
      headers,
      403,
    ]);
  expect((await post(path, { proof })).status).toBe(401);
  expect(orders()).toEqual([]);

  const headers = { host: "g", origin: "http://g", "sec-fetch-site": "same-origin" };
  const done = await post(path, { proof, host: "b" }, { role: "operator", headers });
  expect(done.status).toBe(200);
  expect(orders()).toEqual([
    { method: "POST", path: "/v1/switchover", token: tokenOf("operator"), body: { service: "notes", host: "b" } },
  ]);
});

test("every order shows what it would do first, and calls what its command calls", async () => {
  const { post, textOf, proofOf, calls } = visited();
  const proof = await proofOf("operator");
  for (const [kind, path] of [
    ["switchover", "/v1/switchover"],
    ["pause", "/v1/pause"],
    ["resume", "/v1/resume"],
    ["maintenance", "/v1/maintenance"],
    ["end-maintenance", "/v1/maintenance"],
    ["checkpoint", "/v1/checkpoint"],
    ["drain", "/v1/hosts/notes/b/drain"],
    ["drill", "/v1/drills"],
  ] as const) {
    const asked = await textOf(`/orders/notes/${kind}`, "operator");
    expect(asked).toContain("Do nothing");
    expect(
      (await post(`/orders/notes/${kind}`, { proof, host: "b", drill: "kill", confirmed: "yes" }, { role: "operator" }))
        .status,
    ).toBe(200);
    expect(calls.findLast(({ method }) => method === "POST")?.path).toBe(path);
  }
  expect(await textOf("/orders/notes/failover", "operator")).toContain("Not here");
  expect(await textOf("/orders/other/pause", "operator")).toContain("Not here");
});

test("maintenance says what clients get, and is ordered with its reason and length once its box is ticked", async () => {
  const busy = service({ requestsPerSecond: 40, waiting: { requests: 3, bytes: 9 } });
  const answers = { "POST /v1/maintenance": { service: "notes", maintenance: { reason: "schema 12", untilMs: 0 } } };
  const { post, textOf, proofOf, calls } = visited({ status: clusterStatus({ services: [busy] }), answers });
  const asked = await textOf("/orders/notes/maintenance", "operator");
  for (const said of ["status 503", "40 a second", "The 3 that wait now", "replaced as before"])
    expect(asked).toContain(said);
  const proof = await proofOf("operator");
  const ordered = async (fields: Record<string, string>) => {
    const answer = await post("/orders/notes/maintenance", { proof, ...fields }, { role: "operator" });
    return [answer.status, await answer.text()] as const;
  };
  const bodies = () => calls.filter(({ path }) => path === "/v1/maintenance").map(({ body }) => body);
  for (const [fields, said] of [
    [{ reason: "schema 12" }, "the box was not ticked"],
    [{ confirmed: "yes", for: "30" }, "from 1s to 30d"],
    [{ confirmed: "yes", for: "31d" }, "from 1s to 30d"],
  ] as const)
    expect([fields, await ordered(fields)]).toEqual([
      fields,
      [409, expect.stringContaining(said) as unknown as string],
    ]);
  expect(bodies()).toEqual([]);
  const [status, text] = await ordered({ confirmed: "yes", for: " 30m ", reason: " schema 12 " });
  expect([status, text]).toEqual([
    200,
    expect.stringContaining("on until 1970-01-01 00:00:00 UTC: schema 12") as string,
  ]);
  expect(bodies()).toEqual([{ service: "notes", on: true, reason: "schema 12", forMs: 1_800_000 }]);
});

test("a pause takes its reason and length, or none", async () => {
  const { post, proofOf, calls } = visited();
  const proof = await proofOf("operator");
  for (const fields of [
    { for: "", reason: " " },
    { for: "2h", reason: "new disks" },
  ])
    await post("/orders/notes/pause", { proof, ...fields }, { role: "operator" });
  expect(calls.filter(({ path }) => path === "/v1/pause").map(({ body }) => body)).toEqual([
    { service: "notes" },
    { service: "notes", reason: "new disks", forMs: 7_200_000 },
  ]);
});

test("the button of maintenance ends it while it lasts", async () => {
  const lasting = service({ maintenance: { reason: "schema 12", untilMs: null } });
  const { textOf } = visited({ status: clusterStatus({ services: [lasting] }) });
  expect(await textOf("/", "operator")).toContain('href="/orders/notes/end-maintenance"');
  expect(await textOf("/orders/notes/maintenance", "operator")).toContain("in maintenance already: schema 12");
  expect(await visited().textOf("/", "operator")).toContain('href="/orders/notes/maintenance"');
});

test("a viewer sees no orders, and what the API refuses is told with its advice", async () => {
  const forbidden = Response.json(
    { error: "role viewer", accepted: "operator", advice: "use another" },
    { status: 403 },
  );
  const { ask, post, textOf, proofOf } = visited({ answers: { "POST /v1/pause": forbidden } });
  expect(await textOf("/", "viewer")).not.toContain("/orders/");
  expect(await textOf("/", "operator")).toContain("/orders/notes/switchover");
  expect((await ask("/orders/notes/pause", { role: "viewer" })).status).toBe(403);
  const answer = await post("/orders/notes/pause", { proof: await proofOf("viewer") }, { role: "viewer" });
  expect([answer.status, await answer.text()]).toEqual([
    403,
    expect.stringContaining("use another") as unknown as string,
  ]);
});

test("signing out takes the cookie away, for a form of this page alone", async () => {
  const { post, proofOf } = visited();
  expect((await post("/sign-out", {}, { role: "viewer" })).status).toBe(403);
  const answer = await post("/sign-out", { proof: await proofOf("viewer") }, { role: "viewer" });
  expect([answer.status, answer.headers.get("set-cookie")]).toEqual([
    303,
    expect.stringContaining("Max-Age=0") as unknown as string,
  ]);
});

test("what is no path of the page is the API's, as it came", async () => {
  const { ask, calls } = visited();
  await ask("/v1/anything?x=1", { method: "DELETE", headers: { authorization: `Bearer ${clusterSecret}` } });
  await ask("/", { method: "POST", headers: { authorization: `Bearer ${clusterSecret}` } });
  expect(calls).toEqual([
    { method: "DELETE", path: "/v1/anything", token: clusterSecret, body: undefined },
    { method: "POST", path: "/", token: clusterSecret, body: undefined },
  ]);
});

test("a view's stream sends it when it changes, and ends with the token", async () => {
  const changing = { ...clusterStatus() };
  const { ask, revoked } = visited({ status: changing });
  const stream = await ask("/live?path=%2F", { role: "viewer" });
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = "";
  const until = async (part: string): Promise<void> => {
    while (!text.includes(part)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the stream ended without ${part}: ${text}`);
      text += decoder.decode(value, { stream: true });
    }
  };
  await until("event: view");
  changing.troubles = ["something new"];
  await until("something new");
  revoked.add(tokenOf("viewer"));
  await until("event: ended");
  expect((await reader.read()).done).toBe(true);
});

test("streams are bounded, and one that is left makes room", async () => {
  const { ask } = visited();
  const open = await Promise.all(
    Array.from({ length: liveStreamsMax }, () => ask("/live?path=%2F", { role: "viewer" })),
  );
  expect(open.map(({ status }) => status)).toEqual(open.map(() => 200));
  expect((await ask("/live?path=%2F", { role: "viewer" })).status).toBe(503);
  await Promise.all(open.map(({ body }) => body?.cancel()));
  for (;;) {
    const again = await ask("/live?path=%2F", { role: "viewer" });
    if (again.status === 503) {
      await systemClock.sleep(5);
      continue;
    }
    expect(again.status).toBe(200);
    await again.body?.cancel();
    break;
  }
});

test("a stream is of the page's own paths", async () => {
  const { ask } = visited();
  const stream = await ask(`/live?path=${encodeURIComponent("//evil.example/x")}`, { role: "viewer" });
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toContain("event: view");
  await reader.cancel();
});

test("the configuration shows the last reload, before and after, and leads to all of them", async () => {
  const reload = (atMs: number, refused: string | null) => ({
    ...{ atMs, refused, differencesLeftOut: 2 },
    differences: [{ key: "gateway.drain", before: 10_000, after: atMs }],
  });
  const report = (reloads: readonly object[]) => ({
    "GET /v1/config": {
      configuration: { file: "/etc/stead.toml", loadedAtMs: 1, refused: null },
      ...{ settings: {}, decidedAtRunTime: [], reloads },
    },
  });
  const { textOf } = visited({ answers: report([reload(7_002, "gateway.id cannot change"), reload(7_001, null)]) });
  const text = await textOf("/configuration");
  for (const said of [
    "gateway.id cannot change",
    "In the refused file",
    "10000",
    "7002",
    "And 2 more.",
    "All 2 reloads",
  ])
    expect(text).toContain(said);
  expect(text).not.toContain("7001");
  expect(await textOf("/configuration/reloads")).toContain("7001");
  expect(await visited({ answers: report([]) }).textOf("/configuration")).toContain("no read of the file has changed");
});

test("the overview has the last drill with its result and the next one, and nothing of drills without any", async () => {
  const drill = {
    last: drillEntry({ outcome: "missed", rtoMs: 2_412 }),
    next: { service: "notes", kind: "hang", at: "Sun 03:00", nextAtMs: Date.UTC(2026, 0, 11, 3) },
  };
  const text = await visited({ status: clusterStatus({ services: [service({ drill })] }) }).textOf("/");
  const figures = text.slice(text.indexOf(">Drills</a></h3>")).replaceAll(/<[^>]*>/g, " ");
  expect(figures).toMatch(/last\s+kill\s+missed\s+began\s+2023-11-14 22:13:20 UTC/);
  expect(figures).toMatch(/clients waited\s+2\.4 s\s+objective\s+2\.0 s\s+next\s+hang, 2026-01-11 03:00:00 UTC/);
  expect(await visited().textOf("/")).not.toContain(">Drills</a></h3>");
});

test("a checkpoint that is being written is a condition of its host, with its rate and the time left", async () => {
  const checkpointProgress = { bytes: 2 ** 30, totalBytes: 2 ** 32, bytesPerSecond: 2 ** 26, leftMs: 48_000 };
  const hosts = [host({ role: "primary", checkpointProgress }), host({ id: "b" })];
  const text = await visited({ status: clusterStatus({ services: [service({ hosts })] }) }).textOf("/");
  expect(text).toContain("<li>writing a checkpoint: 1.0 GiB of 4.0 GiB, 64 MiB/s, about 48 s left</li>");
  expect(text.split("writing a checkpoint").length).toBe(2);
});

test("lines of the last hour are on the overview as long as it stays light, and else a page further", async () => {
  const hour = (seed: number) => Array.from({ length: 240 }, (_, index) => ((index * 7_919 + seed) % 97) / 7);
  const hosts = (count: number) => Array.from({ length: count }, (_, index) => host({ id: `host-${index}` }));
  const names = ["s1", "s2", "s3", "s4", "s5"];
  const answers = Object.fromEntries(
    names.map((name) => [
      `GET /v1/samples/${name}`,
      {
        ...{ service: name, everyMs: 15_000, taken: 900, held: hour(1) },
        hosts: hosts(25).map(({ id }, at) => ({ host: id, lag: hour(at), leaseLeftMs: hour(-600), vaultMs: hour(at) })),
      },
    ]),
  );
  const linesOf = async (path: string, services: readonly string[], count: number) => {
    const status = clusterStatus({ services: services.map((name) => service({ name, hosts: hosts(count) })) });
    const text = await visited({ status, answers }).textOf(path, "operator");
    expect(text.length).toBeLessThan(130_000);
    return [text.split('class="spark"').length - 1, text.includes("The last hour of its hosts")];
  };
  // What was held, and three of each host.
  expect(await linesOf("/", ["s1", "s2"], 12)).toEqual([2 + 3 * 24, false]);
  expect(await linesOf("/", names, 12)).toEqual([5, true]);
  expect(await linesOf("/services/s1", ["s1"], 25)).toEqual([3 * 25, false]);
});

test("all that a browser loads for a view of one service is less than 150 KB", async () => {
  const { ask } = visited();
  const sizes = await Promise.all(
    ["/", "/page/style.css", "/page/live.js", "/page/icon.svg"].map(
      async (path) => (await (await ask(path, { role: "operator" })).arrayBuffer()).byteLength,
    ),
  );
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(150_000);
});
