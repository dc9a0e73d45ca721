/** What a connection tells its pool and its user, over a socket that does what it is told. */
import { describe, expect, test } from "bun:test";
import { UpstreamConnection, type UpstreamUser } from "../../../src/http/upstream/upstream-connection.ts";
import { Deadlines } from "../../../src/runtime/deadlines.ts";
import type { TcpConnectUser, TcpSocket } from "../../../src/runtime/tcp/tcp.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

function connect() {
  const clock = new ManualClock();
  const told: string[] = [];
  const written: unknown[] = [];
  const socket = {
    ...{ remoteAddress: "", remotePort: 0, localAddress: "", localPort: 0, waitingBytes: 0, isClear: true },
    use: () => undefined,
    write: (piece: unknown) => void written.push(piece),
    writeAll: (pieces: readonly unknown[]) => void written.push(...pieces),
    end: () => void told.push("socket: end"),
    pause: () => void told.push("socket: pause"),
    resume: () => void told.push("socket: resume"),
    destroy: () => void told.push("socket: destroy"),
    reset: () => undefined,
  } satisfies TcpSocket;
  const deadlines = new Deadlines(clock);
  const connection = new UpstreamConnection(
    {
      deadlines,
      tcp: { connect: (_host: string, _port: number, _user: TcpConnectUser) => socket },
      onConnected: () => void told.push("pool: connected"),
      onConnectFailed: (_, reason) => void told.push(`pool: failed, ${reason}`),
      onClosed: () => void told.push("pool: closed"),
    },
    "127.0.0.1",
    1,
    1_000,
  );
  const user: UpstreamUser = {
    onData: (chunk) => {
      told.push(`user: data ${chunk.toString()}`);
      return "consumed";
    },
    onEnd: () => void told.push("user: end"),
    onDrain: () => void told.push("user: drain"),
    onGone: (reason) => void told.push(`user: gone, ${reason}`),
    onExpired: () => void told.push("user: expired"),
  };
  return { clock, connection, told: () => told.splice(0), user, written };
}

describe("a connection to an upstream", () => {
  test("that is aborted is gone once, for its pool and its user, whatever its socket says afterwards", () => {
    const { clock, connection, told, user, written } = connect();
    connection.onConnect();
    connection.use(user);
    expect(told()).toEqual(["pool: connected"]);
    connection.abort("enough");
    expect(told()).toEqual(["pool: closed", "user: gone, enough", "socket: destroy"]);
    connection.abort("again");
    connection.onClose("ECONNRESET");
    connection.onEnd();
    connection.write("x");
    connection.writeAll(["y"]);
    connection.end();
    expect([connection.onData(Buffer.from("late")), told(), written]).toEqual([undefined, [], []]);
    expect([connection.isOpen, connection.isUsed, clock.timers]).toEqual([false, false, 0]);
  });

  test("that its upstream closes is gone for the reason that the system has", () => {
    for (const [code, reason] of [
      ["ECONNRESET", "ECONNRESET"],
      [undefined, "the upstream closed the connection"],
    ] as const) {
      const { connection, told, user } = connect();
      connection.onConnect();
      connection.use(user);
      told();
      connection.onClose(code);
      connection.onClose("later");
      expect(told()).toEqual(["pool: closed", `user: gone, ${reason}`]);
    }
  });

  test("that is not made is told as failed, once: refused, not answered in time, or given up", () => {
    const refused = connect();
    refused.connection.onClose("ECONNREFUSED");
    refused.connection.onConnect();
    expect(refused.told()).toEqual(["pool: failed, ECONNREFUSED"]);
    const late = connect();
    late.clock.advance(1_300);
    late.connection.onClose(undefined);
    expect(late.told()).toEqual([
      "pool: failed, the upstream did not accept the connection in time",
      "socket: destroy",
    ]);
    const given = connect();
    given.connection.abort("no longer primary");
    given.connection.onClose(undefined);
    expect(given.told()).toEqual(["pool: failed, no longer primary", "socket: destroy"]);
  });

  test("passes what arrives on to its user, and cannot be used any more if bytes or the end come without one", () => {
    const used = connect();
    used.connection.onConnect();
    used.connection.use(used.user);
    used.told();
    expect(used.connection.onData(Buffer.from("a"))).toBe("consumed");
    used.connection.onDrain();
    used.connection.pause();
    used.connection.resume();
    used.connection.onEnd();
    expect(used.told()).toEqual(["user: data a", "user: drain", "socket: pause", "socket: resume", "user: end"]);
    expect(used.connection.isOpen).toBe(false);
    expect(() => used.connection.use(used.user)).toThrow("one user at a time");
    for (const arrive of [
      (one: UpstreamConnection) => one.onData(Buffer.from("a")),
      (one: UpstreamConnection) => one.onEnd(),
    ]) {
      const unused = connect();
      unused.connection.onConnect();
      unused.told();
      arrive(unused.connection);
      expect(unused.told()).toEqual(["pool: closed", "socket: destroy"]);
    }
  });

  test("tells its user of the limit that passes first, of which one may be of all that the user does", () => {
    const { clock, connection, told, user } = connect();
    connection.onConnect();
    connection.use(user);
    told();
    connection.notAfter = 2_000;
    connection.expire(500);
    clock.advance(900);
    expect(told()).toEqual(["user: expired"]);
    connection.expire(60_000);
    clock.advance(1_300);
    expect(told()).toEqual(["user: expired"]);
    connection.detach();
    connection.expire(500);
    clock.advance(900);
    expect(told()).toEqual(["pool: closed", "socket: destroy"]);
  });
});
