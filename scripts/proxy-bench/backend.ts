/**
 * The benchmarks' backend, a process of its own: raw sockets, answers made once. Prints its port. Paths: /60, /16k,
 * /1m.
 */
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

const answer = (bytes: number): Buffer =>
  Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${bytes}\r\n\r\n`),
    Buffer.alloc(bytes, "x"),
  ]);
const answers = [
  ["GET /60 ", answer(60)],
  ["GET /16k ", answer(16 * 1024)],
  ["GET /1m ", answer(1024 * 1024)],
  ["POST /", answer(60)],
] as const;

const server = createServer({ noDelay: true }, (socket) => {
  let waiting: Buffer = Buffer.alloc(0);
  let bodyLeft = 0;
  let owed: Buffer | undefined;
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    let bytes: Buffer = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    waiting = Buffer.alloc(0);
    for (;;) {
      if (owed !== undefined) {
        const taken = Math.min(bodyLeft, bytes.length);
        bodyLeft -= taken;
        bytes = bytes.subarray(taken);
        if (bodyLeft > 0) return;
        socket.write(owed);
        owed = undefined;
      }
      const end = bytes.indexOf("\r\n\r\n");
      if (end === -1) break;
      const head = bytes.toString("latin1", 0, end);
      owed = answers.find(([start]) => head.startsWith(start))?.[1];
      if (owed === undefined) return void socket.destroy();
      bodyLeft = head.startsWith("POST") ? Number(/content-length: *(\d+)/i.exec(head)?.[1]) : 0;
      bytes = bytes.subarray(end + 4);
    }
    waiting = bytes;
  });
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
