"""An application on Python's http.server as it comes: the head of an answer leaves in one write, its body in another.

two-writes.py FOLDER. Between the two, the next request whose method the file FOLDER/kill begins with kills "application" or also its "host".
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
order = os.path.join(folder, "kill")


def host():
    with open(f"/proc/{os.getppid()}/stat") as file:  # Of the shell that watches this process.
        return int(file.read().rpartition(")")[2].split()[1])


def obey(method):
    try:
        with open(order) as file:
            wanted, victim = file.read().split()
        if wanted != method:
            return
        os.rename(order, order + "ed")  # One thread obeys.
    except (FileNotFoundError, ValueError):
        return
    if victim == "host":
        os.kill(host(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 300
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        obey(self.command)
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
