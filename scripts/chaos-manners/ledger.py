"""Ill manners for the ledger example, run around it: python3 scripts/chaos-manners/ledger.py examples/ledger/ledger.py

The same as notes.ts: GET /chaos/exit, GET /chaos/deadlock (no thread answers any more), and the marks away, port-taken and escape.
"""
import http.server
import os
import runpy
import subprocess
import sys
import threading

marks = os.path.join(os.environ.get("DATA_DIR", "."), "..", "marks")
port = os.environ.get("PORT", "0")
is_deadlocked = threading.Event()


def is_marked(name):
    return os.path.exists(os.path.join(marks, name))


def take(name):
    """True once: the mark is gone afterwards."""
    try:
        os.rename(os.path.join(marks, name), os.path.join(marks, name + ".done"))
        return True
    except OSError:
        return False


def listen_first():
    code = (
        "import socket, sys, time\n"
        "one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        f"one.bind(('127.0.0.1', {port})); one.listen(); print('there', flush=True); time.sleep(2)\n"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={}, start_new_session=True)
    started.stdout.readline()


if is_marked("away"):
    os._exit(3)
if is_marked("escape"):
    subprocess.Popen(["sleep", "3600"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if take("port-taken"):
    listen_first()

parse_request = http.server.BaseHTTPRequestHandler.parse_request


def parse_request_badly(self):
    is_parsed = parse_request(self)
    path = getattr(self, "path", "")
    if path == "/chaos/exit":
        os._exit(7)
    if path == "/chaos/deadlock":
        is_deadlocked.set()
    if is_deadlocked.is_set():
        threading.Event().wait()
    return is_parsed


http.server.BaseHTTPRequestHandler.parse_request = parse_request_badly
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
