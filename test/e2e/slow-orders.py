"""Orders in SQLite: slow-orders.py FOLDER. An order is stored at once, and answered once the file FOLDER/answer is there."""

import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

[folder] = sys.argv[1:]
database = os.path.join(os.environ["DATA_DIR"], "ledger.db")


def connect():
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


connect().execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)").connection.commit()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, connect().execute("SELECT COUNT(*) FROM orders").fetchone()[0])

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        connection = connect()
        order = connection.execute("INSERT INTO orders DEFAULT VALUES").lastrowid
        connection.commit()
        while not os.path.exists(os.path.join(folder, "answer")):
            time.sleep(0.01)
        self.answer(201, order)

    def answer(self, status, number):
        body = str(number).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
