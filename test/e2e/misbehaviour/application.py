"""An application for tests that does what it should not, when it is asked to.

application.py FOLDER [MANNER ...]. It is unaware of stead: PORT and DATA_DIR are all it gets. One thread, one event loop, as many real
applications have. In FOLDER, which is outside of every data folder, it appends one line of JSON to events.jsonl for each start, each execution of
a request and each end of one, so that a test can count what really happened, whichever host it happened on.

Requests, all with any method:
  /ping, /health       answers
  /rows                POST adds a row, otherwise counts them
  /crash               the process ends
  /hang-up             the connection is closed without an answer
  /doubled             an answer that breaks HTTP: Transfer-Encoding twice
  /late?s=N            the answer's first byte comes after N seconds; others are answered meanwhile
  /sleep?s=N, /burn?s=N   nobody is answered for N seconds: the only thread sleeps, or computes
  /deadlock            the same for ever
  /close-port          the port and every connection are closed, the process lives on
  /events              an event stream without an end
  /orphans?n=N         N processes are left that nobody waits for, and end

Manners: session (serves from a process in a session of its own, and only the one that was started hears of a stop, as a container's client
does), daemon (goes into the background), on=ADDRESS (listens there only).
Files in FOLDER: away (it ends at its start while there is one), port-taken (it ends so once, and removes it).
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

folder = sys.argv[1]
manners = dict(manner.partition("=")[::2] for manner in sys.argv[2:])
data = os.environ["DATA_DIR"]
connections = set()
server = None


def note(event, **more):
    with open("/proc/self/stat") as file:
        born = file.read().rpartition(")")[2].split()[19]
    line = json.dumps({"event": event, "pid": os.getpid(), "born": born, "data": data, **more}) + "\n"
    with open(os.path.join(folder, "events.jsonl"), "a") as file:
        file.write(line)  # One write of one line: those of several processes do not mix.


def leave_orphans(count):
    reading, writing = os.pipe()  # Closed by exec: its end says that all of them are what they shall be.
    child = os.fork()
    if child == 0:
        for _ in range(count):
            if os.fork() == 0:
                os.execvp("sleep", ["sleep", "0.2"])
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    os.waitpid(child, 0)


async def wait_while_connected(seconds, reader):
    """False: the other side closed the connection."""
    ended = asyncio.ensure_future(reader.read(1))
    done, _ = await asyncio.wait([ended], timeout=seconds)
    ended.cancel()
    return not done


async def answer(method, target, reader, writer):
    """True: the connection goes on."""
    parts = urlsplit(target)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    seconds = float(query.get("s", "0"))
    status, body = "200 OK", "ok\n"
    match parts.path:
        case "/rows":
            if method == "POST":
                database.execute("INSERT INTO rows (text) VALUES ('x')")
                status = "201 Created"
            else:
                body = str(database.execute("SELECT count(*) FROM rows").fetchone()[0])
        case "/crash":
            os._exit(13)
        case "/hang-up":
            return False
        case "/doubled":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            await writer.drain()
            return False
        case "/late":
            if not await wait_while_connected(seconds, reader):
                note("cancelled", method=method, target=target)
                return False
        case "/sleep":
            time.sleep(seconds)
        case "/burn":
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
        case "/deadlock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "/close-port":
            server.close()
            for other in list(connections):
                other.transport.abort()
            return False
        case "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"9\r\ndata: x\n\n\r\n")
                await writer.drain()
                await asyncio.sleep(3600)
        case "/orphans":
            leave_orphans(int(query.get("n", "1")))
    writer.write(f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    await writer.drain()
    return True


async def serve_connection(reader, writer):
    connections.add(writer)
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(fields.get("content-length", "0")))
            is_told = target not in ("/health", "/ping") and not target.startswith("/rows")
            if is_told:
                note("begin", method=method, target=target)
            goes_on = await answer(method, target, reader, writer)
            if is_told:
                note("end", method=method, target=target)
            if not goes_on or fields.get("connection", "").lower() == "close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        connections.discard(writer)
        writer.close()


async def main():
    global server
    address = manners.get("on", "127.0.0.1")
    server = await asyncio.start_server(serve_connection, address, int(os.environ["PORT"]), reuse_address=True)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: os._exit(0))
    note("start")
    await asyncio.Event().wait()


def end_unless_startable():
    taken = os.path.join(folder, "port-taken")
    if os.path.exists(os.path.join(folder, "away")):
        note("refused", why="away")
        sys.exit("the configuration server does not answer")
    try:
        os.unlink(taken)
    except FileNotFoundError:
        return
    note("refused", why="port-taken")
    sys.exit("OSError: [Errno 98] Address already in use")


end_unless_startable()
if "daemon" in manners and os.fork() != 0:
    os._exit(0)
if "daemon" in manners:
    os.setsid()
if "session" in manners:
    child = os.fork()
    if child != 0:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        os.waitpid(child, 0)
        os._exit(0)
    os.setsid()
    note("session", parent=os.getppid())
database = sqlite3.connect(os.path.join(data, "app.db"), isolation_level=None, timeout=5)
database.execute("PRAGMA journal_mode = WAL")
database.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)")
asyncio.run(main())
