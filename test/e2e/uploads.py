"""Stores what is posted to it, with its SHA-256: uploads.py FOLDER. It tells how far it is by files in that folder.

FOLDER/begun: it has some of a body. FOLDER/read: it has all of it. While FOLDER/wait exists nothing is stored.
"""

import hashlib
import json
import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]


def path(name):
    return os.path.join(folder, name)


def connect():
    connection = sqlite3.connect("uploads.db", timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS upload (sum TEXT NOT NULL, content BLOB NOT NULL)")
    return connection


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        with connect() as connection:
            rows = connection.execute("SELECT sum, content FROM upload").fetchall()
        self.answer(200, [[sum, hashlib.sha256(content).hexdigest()] for sum, content in rows])

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        parts = []
        while left > 0:
            part = self.rfile.read(min(left, 65536))
            if not part:
                return
            parts.append(part)
            left -= len(part)
            open(path("begun"), "w").close()
        content = b"".join(parts)
        open(path("read"), "w").close()
        while os.path.exists(path("wait")):
            time.sleep(0.005)
        sum = hashlib.sha256(content).hexdigest()
        with connect() as connection:
            connection.execute("INSERT INTO upload VALUES (?, ?)", (sum, content))
        self.answer(201, sum)

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


connect().close()
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
