"""One process of an application: one JSON request per line in, one answer per line out.

`open`, `sql`, `ids`, `close`: connections. `rename`, `link`, `remove`, `fill`, `build`: files. `engine`: a commit of an engine that writes the
write-ahead log without SQLite's index; it keeps the log open, as engines do. A process that has connections is asked for nothing but them:
closing a file that SQLite has open drops its locks.
"""
import json
import os
import shutil
import sqlite3
import sys
import time

COMPANIONS = ("-wal", "-shm", "-journal")
connections = {}
logs = {}


def run_all(connection, statements):
    rows = []
    for statement in statements:
        rows = connection.execute(statement).fetchall()
    return rows


def open_connection(request):
    connection = sqlite3.connect("file:" + request["path"] + request["query"], uri=True, isolation_level=None, timeout=request["busy_ms"] / 1000)
    failed = []
    for pragma in request["pragmas"]:
        try:
            connection.execute(pragma).fetchall()
        except sqlite3.Error as error:
            failed.append(pragma + ": " + str(error))
    connections[request["connection"]] = connection
    for statement in request["tables"]:
        connection.execute(statement)
    return failed


def fill(request):
    """Copies a file, in pieces, perhaps into one that has its size already, perhaps under another name first."""
    with open(request["from"], "rb") as source:
        content = source.read()
    target = request["to"] + ".filling~" if request["renamed"] else request["to"]
    if not request["in_place"] and os.path.lexists(target):
        os.unlink(target)
    size = -(-len(content) // request["pieces"])
    with open(target, "r+b" if os.path.exists(target) else "w+b", buffering=0) as file:
        file.truncate(len(content) if request["preallocated"] else 0)
        for at in range(0, len(content), max(1, size)):
            file.write(content[at : at + size])
            time.sleep(request["pause_ms"] / 1000)
    if request["renamed"]:
        os.rename(target, request["to"])


def build(request):
    connection = sqlite3.connect(request["path"], isolation_level=None)
    run_all(connection, request["statements"])
    connection.close()


def ids_of_copy(path, scratch, alone):
    """What a process finds that opens the files as they are: never the files themselves, so that nothing is changed."""
    path = os.path.realpath(path)  # SQLite keeps the log beside the file that a link leads to
    if not os.path.exists(path):
        return None
    for suffix in ("",) + COMPANIONS:
        if os.path.lexists(scratch + suffix):
            os.unlink(scratch + suffix)
    for suffix in ("",) if alone else ("-wal", "-journal", ""):
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, scratch + suffix)
    connection = sqlite3.connect(scratch, isolation_level=None)
    try:
        check = connection.execute("PRAGMA integrity_check").fetchall()[0][0]
        return {"check": check, "ids": ids_of(connection)}
    except sqlite3.Error as error:
        return {"check": str(error), "ids": []}
    finally:
        connection.close()


def ids_of(connection):
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name='t'").fetchall():
        return []
    return [row[0] for row in connection.execute("SELECT id FROM t").fetchall()]


def engine(request):
    path, scratch = request["path"], request["scratch"]
    if path in logs and (not os.path.exists(path + "-wal") or os.fstat(logs[path]).st_ino != os.stat(path + "-wal").st_ino):
        os.close(logs.pop(path))
    if path not in logs:
        logs[path] = os.open(path + "-wal", os.O_RDWR)
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(scratch + suffix):
            os.unlink(scratch + suffix)
    shutil.copyfile(path, scratch)
    shutil.copyfile(path + "-wal", scratch + "-wal")
    connection = sqlite3.connect(scratch, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    run_all(connection, request["statements"])
    with open(scratch + "-wal", "rb") as file:
        written = file.read()
    length = os.fstat(logs[path]).st_size
    before = os.pread(logs[path], length, 0)
    same = 0
    page = 24 + int.from_bytes(written[8:12], "big")
    if before[:32] == written[:32]:
        same = 32
        while before[same : same + page] == written[same : same + page] and same + page <= len(written):
            same += page
    os.pwrite(logs[path], written[same:], same)
    connection.close()


def rename(request):
    for suffix in ("",) + (COMPANIONS if request["companions"] else ()):
        if suffix == "" or os.path.lexists(request["from"] + suffix):
            os.rename(request["from"] + suffix, request["to"] + suffix)


def remove(request):
    for suffix in request["suffixes"]:
        if os.path.lexists(request["path"] + suffix):
            os.unlink(request["path"] + suffix)


def answer(request):
    what = request["what"]
    if what == "open":
        return open_connection(request)
    if what == "sql":
        return run_all(connections[request["connection"]], request["statements"])
    if what == "ids":
        return ids_of(connections[request["connection"]])
    if what == "close":
        return connections.pop(request["connection"]).close()
    if what == "link":
        return os.symlink(request["target"], request["to"]) if request["symbolic"] else os.link(request["from"], request["to"])
    if what == "look":
        return ids_of_copy(request["path"], request["scratch"], request["alone"])
    return {"rename": rename, "remove": remove, "fill": fill, "build": build, "engine": engine}[what](request)


for line in sys.stdin:
    try:
        print(json.dumps({"ok": answer(json.loads(line))}), flush=True)
    except Exception as error:
        print(json.dumps({"error": type(error).__name__ + ": " + str(error)}), flush=True)
