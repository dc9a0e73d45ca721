"""The HTTP side of the applications in Python of these tests: GET answers "ok"; POST gives its body to `run` and answers with what that returns,
as JSON. An error is 500 with its text.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer


def serve(run, server=HTTPServer):
    """Serves on PORT until the process ends, one request at a time unless `server` is another class."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.answer(200, "ok")

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            try:
                self.answer(200, run(body))
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

    server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
