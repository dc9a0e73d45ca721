#!/usr/bin/env python3
"""A small ledger: Python's standard library and one SQLite file. It knows nothing of stead.

    PORT=8080 DATA_DIR=./data python3 ledger.py

Twenty accounts hold 1000 units each; transfers move units between them, so the sum of all balances never changes.
A transfer carries an id that the client made up: sent a second time it is answered as the first time, and done once.

    GET  /health
    GET  /accounts                          {"latest": seq, "accounts": [{"id", "balance"}, ...]}
    GET  /transfers?after=SEQ&limit=N       {"latest": seq, "transfers": [{"seq", "id", "from", "to", "amount"}, ...]}
    GET  /transfers/ID                      the transfer, or 404
    POST /transfer {"id", "from", "to", "amount"}   201 the transfer, or 200 when it was done already, or 409
"""

import json
import os
import signal
import socket
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ACCOUNTS = 20
OPENING_BALANCE = 1000
BODY_BYTES_MAX = 64 * 1024
TRANSFERS_PER_PAGE_MAX = 10_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
CREATE TABLE IF NOT EXISTS transfers (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  source INTEGER NOT NULL REFERENCES accounts, target INTEGER NOT NULL REFERENCES accounts, amount INTEGER NOT NULL);
"""

folder = os.environ.get("DATA_DIR", ".")
local = threading.local()
writing = threading.Lock()  # SQLite has one writer at a time; queueing here is fairer than its busy handler


def connection():
    """This thread's connection; the server has a thread for every client connection."""
    if not hasattr(local, "connection"):
        opened = sqlite3.connect(os.path.join(folder, "ledger.db"), timeout=10, isolation_level=None)
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA synchronous = FULL")
        local.connection = opened
    return local.connection


def prepare():
    os.makedirs(folder, exist_ok=True)
    database = connection()
    database.executescript(SCHEMA)
    database.execute("BEGIN IMMEDIATE")
    if database.execute("SELECT count(*) FROM accounts").fetchone()[0] == 0:
        rows = [(number, OPENING_BALANCE) for number in range(1, ACCOUNTS + 1)]
        database.executemany("INSERT INTO accounts (id, balance) VALUES (?, ?)", rows)
    database.execute("COMMIT")


def as_transfer(row):
    return dict(zip(("seq", "id", "from", "to", "amount"), row))


def find(database, identity):
    row = database.execute("SELECT seq, id, source, target, amount FROM transfers WHERE id = ?", (identity,)).fetchone()
    return None if row is None else as_transfer(row)


def latest(database):
    return database.execute("SELECT coalesce(max(seq), 0) FROM transfers").fetchone()[0]


def transfer(identity, source, target, amount):
    """Moves units; returns the status and the answer."""
    database = connection()
    with writing:
        database.execute("BEGIN IMMEDIATE")
        try:
            answer = move(database, identity, source, target, amount)
            database.execute("COMMIT")
            return answer
        except BaseException:
            database.execute("ROLLBACK")
            raise


def move(database, identity, source, target, amount):
    done = find(database, identity)
    if done is not None:
        same = (done["from"], done["to"], done["amount"]) == (source, target, amount)
        return (200, done) if same else (409, {"error": "this id belongs to another transfer"})
    taken = database.execute(
        "UPDATE accounts SET balance = balance - ? WHERE id = ? AND balance >= ?", (amount, source, amount)
    )
    if taken.rowcount != 1:
        return 409, {"error": "not enough on the account"}
    database.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, target))
    row = (identity, source, target, amount)
    database.execute("INSERT INTO transfers (id, source, target, amount) VALUES (?, ?, ?, ?)", row)
    return 201, find(database, identity)


def accounts():
    database = connection()
    database.execute("BEGIN")
    try:
        rows = database.execute("SELECT id, balance FROM accounts ORDER BY id").fetchall()
        return {"latest": latest(database), "accounts": [{"id": number, "balance": balance} for number, balance in rows]}
    finally:
        database.execute("COMMIT")


def transfers(after, limit):
    database = connection()
    database.execute("BEGIN")
    try:
        rows = database.execute(
            "SELECT seq, id, source, target, amount FROM transfers WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        ).fetchall()
        return {"latest": latest(database), "transfers": [as_transfer(row) for row in rows]}
    finally:
        database.execute("COMMIT")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "ledger"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/health":
            self.answer(200, {"status": "ok"})
        elif url.path == "/accounts":
            self.answer(200, accounts())
        elif url.path == "/transfers":
            try:
                after = int(query.get("after", ["0"])[0])
                limit = int(query.get("limit", ["100"])[0])
            except ValueError:
                self.answer(400, {"error": "after and limit are integers"})
                return
            self.answer(200, transfers(after, max(1, min(limit, TRANSFERS_PER_PAGE_MAX))))
        elif url.path.startswith("/transfers/"):
            found = find(connection(), unquote(url.path[len("/transfers/") :]))
            self.answer(404, {"error": "no such transfer"}) if found is None else self.answer(200, found)
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self.answer(411 if not length.isdigit() else 413, {"error": "a body with a Content-Length is needed"})
            return
        body = self.rfile.read(int(length))
        if self.path != "/transfer":
            self.answer(404, {"error": "no such page"})
            return
        try:
            wish = json.loads(body)
            identity, source, target, amount = str(wish["id"]), int(wish["from"]), int(wish["to"]), int(wish["amount"])
        except (ValueError, KeyError, TypeError):
            self.answer(400, {"error": 'the body must be {"id", "from", "to", "amount"}'})
            return
        known = range(1, ACCOUNTS + 1)
        if source not in known or target not in known or source == target or amount < 1:
            self.answer(400, {"error": "two different accounts and a positive amount are needed"})
            return
        self.answer(*transfer(identity, source, target, amount))

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, socket.timeout)):
            super().handle_error(request, client_address)


def main():
    prepare()
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"ledger: listening on http://127.0.0.1:{server.server_address[1]}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
