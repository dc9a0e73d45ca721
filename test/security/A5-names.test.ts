/**
 * Attack A5: `X_Forwarded_For` and `X_Real_IP` of a client passed, and CGI and WSGI applications read them as the
 * fields of the proxy: both names become `HTTP_X_FORWARDED_FOR`.
 *
 * Rule: a client that is not a trusted proxy cannot say who it is. Names with an underscore are dropped unless the
 * operator keeps them, every X-Forwarded-* is dropped from an untrusted client, and what an application could take for
 * a field that this program knows is dropped from every client.
 */
import { afterEach, expect, test } from "bun:test";
import { forwardedFields, type ForwardedOptions } from "../../src/http/proxy/forwarded-fields.ts";
import { proxied, type Proxied } from "../support/http/proxied.ts";

const undo: Proxied[] = [];
afterEach(async () => {
  for (const proxy of undo.splice(0)) await proxy[Symbol.asyncDispose]();
});

/** Returns the head that reaches the application. */
async function arrivesAs(lines: readonly string[], options: ForwardedOptions = {}, trailers = ""): Promise<string> {
  const proxy = await proxied({
    onData: (c) => {
      if (c.received.endsWith("\r\n\r\n"))
        c.socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    },
    forward: { editRequestFields: forwardedFields(options) },
  });
  undo.push(proxy);
  const client = await proxy.client();
  const body = trailers === "" ? "" : `0\r\n${trailers}\r\n\r\n`;
  const framing = trailers === "" ? [] : ["Transfer-Encoding: chunked"];
  client.send(["GET / HTTP/1.1", "Host: a", ...framing, ...lines, "", body].join("\r\n"));
  await client.until((received) => received.endsWith("ok") || received.includes(" 400 "));
  return proxy.backend.connections.at(-1)?.received ?? client.received;
}

/** The variables of CGI, WSGI and PHP. */
const variables = (head: string): string[] =>
  head
    .split("\r\n")
    .slice(1)
    .map((line) => `HTTP_${(line.split(":", 1)[0] ?? "").toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`);

const forged = [
  "X_Forwarded_For: 6.6.6.6",
  "X_Real_IP: 6.6.6.6",
  "x-forwarded_for: 6.6.6.6",
  "X.Forwarded.For: 6.6.6.6",
  "X~Forwarded~Proto: 6.6.6.6",
  "X-Forwarded-Port: 6.6.6.6",
  "X-Forwarded-Prefix: /6.6.6.6",
  "X_Forwarded_Prefix: /6.6.6.6",
  "X-Forwarded-Client-Cert: 6.6.6.6",
  "X-Client-IP: 6.6.6.6",
  "Client-IP: 6.6.6.6",
  "True_Client_IP: 6.6.6.6",
  "X-Original-Forwarded-For: 6.6.6.6",
  "Stead_Epoch: 6.6.6.6",
  "X_Request_Id: 6.6.6.6",
  "Content_Length: 6666",
  "Transfer_Encoding: 6.6.6.6",
];

for (const underscoreFields of ["drop", "keep"] as const)
  test(`nothing that a client says about itself arrives, with underscore_fields = "${underscoreFields}"`, async () => {
    const head = await arrivesAs([...forged, "X-Other: o"], { underscoreFields });
    expect(head).not.toContain("6.6.6.6");
    expect(head).not.toContain("6666");
    expect(head).toContain("X-Other: o");
    expect(variables(head).filter((name) => name === "HTTP_X_FORWARDED_FOR")).toHaveLength(1);
    expect(head).toContain("X-Forwarded-For: 127.0.0.1");
  });

test("other names with underscores are dropped, and kept if the operator says so", async () => {
  const lines = ["My_Field: m", "My.Field: n", "Weird!: w"];
  const dropped = await arrivesAs(lines);
  expect(dropped).not.toContain("My_Field");
  expect(dropped).toContain("My.Field: n");
  expect(dropped).toContain("Weird!: w");
  expect(await arrivesAs(lines, { underscoreFields: "keep" })).toContain("My_Field: m");
});

test("a trusted proxy's X-Forwarded-* arrive, and imitations of them do not", async () => {
  const head = await arrivesAs(
    ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-Port: 443", "X_Forwarded_For: 6.6.6.6", "X-Client-IP: 9.9.9.9"],
    { trustedProxies: ["127.0.0.1"] },
  );
  expect(head).toContain("X-Forwarded-For: 9.9.9.9, 127.0.0.1");
  expect(head).toContain("X-Forwarded-Port: 443");
  expect(head).toContain("X-Client-IP: 9.9.9.9");
  expect(head).not.toContain("6.6.6.6");
});

test("neither do they arrive as trailers", async () => {
  const seen = await arrivesAs([], {}, "X_Forwarded_For: 6.6.6.6\r\nStead-Epoch: 6.6.6.6\r\nX-Sum: s");
  expect(seen).toContain("X-Sum: s");
  expect(seen).not.toContain("6.6.6.6");
  expect(await arrivesAs([], {}, "X-Forwarded-Port: 6.6.6.6")).toStartWith("HTTP/1.1 400");
});
