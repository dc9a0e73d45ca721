/**
 * The data plane under other runtimes than Bun, as a child process of each that is here
 * (scripts/proxy-bench/runtimes.ts): every malformed request, every good one, bytes kept as they came, and TLS.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { findRuntime, type RuntimeName } from "../../../scripts/proxy-bench/runtimes.ts";
import { requestCases } from "../../http/conformance/request-cases.ts";
import { RawBackend } from "../../support/http/raw-backend.ts";
import { RawClient } from "../../support/http/raw-client.ts";
import { startRuntime } from "../../support/http/runtime-process.ts";

setDefaultTimeout(30_000);

const folder = mkdtempSync(join(tmpdir(), "stead-runtimes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const name of ["node", "deno"] satisfies RuntimeName[]) {
  const runtime = findRuntime(name);
  if (runtime === undefined) {
    console.log(
      `${name} is not here (npm package in .bun/runtimes, or on the PATH): the data plane is not tested on it`,
    );
    continue;
  }
  describe(`${name} ${runtime.version}`, () => {
    let child: ChildProcess;
    let backend: RawBackend;
    let port = 0;
    let tlsPort = 0;
    const seen: string[] = [];

    beforeAll(async () => {
      backend = await RawBackend.listen((connection) => {
        const end = connection.received.indexOf("\r\n\r\n");
        if (
          end === -1 ||
          (/transfer-encoding/i.test(connection.received.slice(0, end)) && !connection.received.endsWith("0\r\n\r\n"))
        )
          return;
        seen.push(connection.received);
        connection.received = "";
        connection.socket.write(
          "HTTP/1.1 201 Made Up\r\nX-Odd-CASE: 1\r\nx-odd-case: 2\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: end\r\n\r\n",
        );
      });
      ({
        child,
        ports: [port = 0, tlsPort = 0],
      } = await startRuntime(runtime, folder, backend.port));
    });
    afterAll(async () => {
      child.kill("SIGKILL");
      await backend.close();
    });

    test("every malformed request is refused with its status and its code, and the backend sees none of them", async () => {
      seen.length = 0;
      const wrong: string[] = [];
      for (const each of requestCases) {
        const client = await RawClient.connect(port);
        client.send(`${each.bytes}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
        const received = await client.untilEnd();
        client.destroy();
        if (!received.startsWith(`HTTP/1.1 ${each.status} `) || !received.includes(`${each.status} ${each.code}: `))
          wrong.push(`${each.name}: ${received.slice(0, 60)}`);
      }
      expect(wrong).toEqual([]);
      expect(seen).toEqual([]);
    });

    test("target, order and case of fields, reason phrase and trailers go through as they came, two requests on one connection", async () => {
      seen.length = 0;
      const client = await RawClient.connect(port);
      const fields = "Host: a\r\nX-ONE: 1\r\nx-one: 2\r\nSet-THING: b";
      client.send(`GET /a/../b//%2e?q=%20 HTTP/1.1\r\n${fields}\r\n\r\n`);
      await client.until((text) => text.includes("X-T: end\r\n\r\n"));
      client.send(
        "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      );
      const received = await client.untilEnd();
      expect(received.match(/HTTP\/1\.1 201 Made Up\r\nX-Odd-CASE: 1\r\nx-odd-case: 2\r\n/g)?.length).toBe(2);
      expect(seen[0]).toStartWith(`GET /a/../b//%2e?q=%20 HTTP/1.1\r\n${fields}\r\n`);
      expect(seen[1]).toStartWith("POST /p HTTP/1.1\r\n");
      expect(seen[1]).toContain("abc");
    });

    test("it terminates TLS", async () => {
      const socket = connect({
        port: tlsPort,
        host: "127.0.0.1",
        rejectUnauthorized: false,
        ALPNProtocols: ["http/1.1"],
      });
      let text = "";
      socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      await once(socket, "close");
      expect(text).toStartWith("HTTP/1.1 201 Made Up\r\n");
    });
  });
}
