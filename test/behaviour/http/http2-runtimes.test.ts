/** HTTP/2 in front under other runtimes than Bun: requests, answers, frames that break RFC 9113, the PROXY protocol. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { findRuntime, type RuntimeName } from "../../../scripts/proxy-bench/runtimes.ts";
import { FrameClient } from "../../support/http/frame-client.ts";
import { malformed, ofConnection, request, whole } from "../../support/http/http2-cases.ts";
import { type BackendConnection, RawBackend } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";
import { startRuntime } from "../../support/http/runtime-process.ts";

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "stead-http2-runtimes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
  readonly code: number;
}

function ask(port: number, fields: Record<string, string | string[]>, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on("error", reject);
    const stream = session.request(fields, { endStream: body === undefined });
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    let text = "";
    stream.on("response", (found) => (headers = found));
    stream.on("trailers", (found) => (trailers = found));
    stream.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    stream.on("error", () => undefined);
    stream.on("close", () => {
      session.destroy();
      resolve({ status: Number(headers[":status"]), headers, trailers, body: text, code: stream.rstCode ?? 0 });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** What nghttp2, under both, does otherwise than RFC 9113 asks for. Nothing of it reaches the upstream. */
const byNghttp2 = {
  /** Another code of the error; a frame that means nothing any more is ignored. */
  frames: ["3.5: a preface that is none: 2", "6.3: PRIORITY on stream 0: taken"],
  /** The field is dropped, and the request served without it. */
  fields: [
    "8.2.1: a value with a line",
    "8.2.1: a value with NUL",
    "8.2.1: a name with a colon",
    "8.2.1: a name with a space",
  ],
};

for (const name of ["node", "deno"] satisfies RuntimeName[]) {
  const runtime = findRuntime(name);
  if (runtime === undefined) {
    console.log(`${name} is not here (./scripts/runtimes): HTTP/2 is not tested on it`);
    continue;
  }
  describe(`${name} ${runtime.version}`, () => {
    let child: ChildProcess;
    let backend: RawBackend;
    let [app, balanced] = [0, 0];
    let answer: (connection: BackendConnection) => void = () => undefined;
    const seen: string[] = [];
    const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const answering =
      (text: string) =>
      (connection: BackendConnection): void => {
        const end = connection.received.indexOf("\r\n\r\n");
        const isChunked = /transfer-encoding/i.test(connection.received.slice(0, end));
        if (end === -1 || (isChunked && !connection.received.endsWith("0\r\n\r\n"))) return;
        seen.push(connection.received);
        connection.received = "";
        connection.socket.write(text, "latin1");
      };

    beforeAll(async () => {
      backend = await RawBackend.listen((connection) => answer(connection));
      const started = await startRuntime(runtime, folder, backend.port);
      child = started.child;
      [, , app = 0, balanced = 0] = started.ports;
    });
    afterAll(async () => {
      child.kill("SIGKILL");
      await backend.close();
    });

    test("a request has its exact target, its cookies in one field and its body; the answer its cookies and trailers", async () => {
      seen.length = 0;
      answer = answering(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n" +
          "Trailer: Grpc-Status\r\n\r\n7\r\n\0\0\0\0\x02hi\r\n0\r\nGrpc-Status: 0\r\n\r\n",
      );
      const fields = {
        ":method": "POST",
        ":path": "/a/../b//%2e?q=%20",
        ":authority": "notes.example",
        te: "trailers",
      };
      const found = await ask(app, { ...fields, cookie: ["c=1", "d=2"] }, "\0\0\0\0\0");
      expect(found).toMatchObject({ status: 200, body: "\0\0\0\0\x02hi", code: 0, trailers: { "grpc-status": "0" } });
      expect(found.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
      expect(seen[0]).toStartWith("POST /a/../b//%2e?q=%20 HTTP/1.1\r\n");
      const lines = seen[0]?.toLowerCase().split("\r\n");
      for (const line of ["host: notes.example", "cookie: c=1; d=2", "x-forwarded-proto: https"])
        expect(lines).toContain(line);
    });

    test("a large body passes in both directions; an answer that is lost in the middle is a broken stream", async () => {
      const large = "0123456789".repeat(50_000);
      answer = answering(`HTTP/1.1 200 OK\r\nContent-Length: ${large.length}\r\n\r\n${large}`);
      const found = await ask(app, { ":method": "POST", ":authority": "a" }, large);
      expect([found.status, found.body.length, found.code]).toEqual([200, large.length, 0]);
      expect(seen.at(-1)?.length).toBeGreaterThan(large.length);
      answer = ({ socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
        socket.destroy();
      };
      const lost = await ask(app, { ":path": "/", ":authority": "a" });
      expect(lost.code).not.toBe(0);
    });

    test("frames that break RFC 9113 end the connection, and no request comes of them", async () => {
      answer = answering(ok);
      seen.length = 0;
      const wrong: string[] = [];
      for (const { name: which, send, codes } of ofConnection) {
        const client = await FrameClient.connect(app, !which.startsWith("3.5"));
        send(client);
        const isOver = (): boolean =>
          client.closed || client.codeOf("goaway") !== undefined || client.codeOf("rstStream", 1) !== undefined;
        await client.until(isOver).catch(() => wrong.push(`${which}: taken`));
        const code = client.codeOf("goaway");
        if (code !== undefined && !codes.includes(code)) wrong.push(`${which}: ${code}`);
        client.destroy();
      }
      expect(wrong).toEqual(byNghttp2.frames);
      expect(seen.filter((each) => !each.startsWith("GET / HTTP/1.1\r\n"))).toEqual([]);
    });

    test("malformed requests are refused, and the upstream sees none", async () => {
      answer = answering(ok);
      seen.length = 0;
      const wrong: string[] = [];
      for (const [which, fields] of malformed) {
        const client = await FrameClient.connect(app);
        client.send("headers", whole, 1, request(fields));
        const isRefused = (): boolean =>
          client.closed ||
          client.codeOf("rstStream", 1) !== undefined ||
          client.codeOf("goaway") !== undefined ||
          client.of("headers", 1).length > 0;
        await client.until(isRefused);
        const [head] = client.of("headers", 1);
        // `:status` 400 is the field 12 of the static table; without it: a literal.
        if (head !== undefined && head.payload[0] !== 0x8c && !head.payload.includes("400")) wrong.push(which);
        client.destroy();
      }
      expect(wrong).toEqual(byNghttp2.fields);
      const served = seen.filter((each) => !/content-length: 5/i.test(each));
      expect(served.length).toBe(byNghttp2.fields.length);
      expect(served.filter((each) => /x.own|smuggled/i.test(each))).toEqual([]);
    });

    test("the PROXY protocol's header before TLS names the client, for HTTP/2 and HTTP/1.1 by the app", async () => {
      answer = answering(ok);
      for (const protocol of ["h2", "http/1.1"] as const) {
        seen.length = 0;
        const socket = connectTcp({ port: balanced, host: "127.0.0.1", noDelay: true });
        socket.write("PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\n");
        const secured = connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: [protocol] });
        secured.on("error", () => undefined);
        if (protocol === "h2") {
          const session = connectHttp2("https://a", { createConnection: () => secured });
          session.on("error", () => undefined);
          session.request({ ":path": "/", ":authority": "a" }).on("error", () => undefined);
        } else secured.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        await waitFor(() => seen.length === 1);
        expect(seen[0]?.toLowerCase()).toContain("\r\nx-forwarded-for: 203.0.113.7\r\n");
        secured.destroy();
      }
      const refused = connectTcp({ port: balanced, host: "127.0.0.1" });
      refused.write("PROXY TCP4 x\r\n");
      await new Promise((resolve) => refused.on("error", () => undefined).once("close", resolve));
    });
  });
}
