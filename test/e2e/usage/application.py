"""An application for tests of usage: it does with SQLite and with its data folder what a request says, in Python.

PORT and DATA_DIR are all it gets, as any application under stead. POST runs the body as Python with `sqlite3`, `os`, `shutil`, `data` (its
folder) and what earlier requests left in the same names, and answers with the variable `result` as JSON. GET /health answers. A first argument
is run likewise before it listens. An error is 500 with its text.
"""

import os
import shutil
import sqlite3
import sys

sys.dont_write_bytecode = True
from json_server import serve

state = {"sqlite3": sqlite3, "os": os, "shutil": shutil, "data": os.environ["DATA_DIR"]}


def run(body):
    state["result"] = None
    exec(body.decode(), state)
    return state["result"]


if len(sys.argv) > 1:
    exec(sys.argv[1], state)
serve(run)
