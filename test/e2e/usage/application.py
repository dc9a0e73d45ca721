"""An application for tests of usage: it does with SQLite and with its data folder what a request says, in Python.

PORT and DATA_DIR are all it gets, as any application under stead. POST runs the body as Python with `sqlite3`, `os`, `shutil`, `data` (its
folder) and what earlier requests left in the same names, and answers with the variable `result` as JSON. GET /health answers. A first argument
is run likewise before it listens. An error is 500 with its text.
"""

import json
import os
import shutil
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

state = {"sqlite3": sqlite3, "os": os, "shutil": shutil, "data": os.environ["DATA_DIR"]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, "ok")

    def do_POST(self):
        code = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        state["result"] = None
        try:
            exec(code, state)
            self.answer(200, state["result"])
        except Exception as error:
            self.answer(500, f"{type(error).__name__}: {error}")

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if len(sys.argv) > 1:
    exec(sys.argv[1], state)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
