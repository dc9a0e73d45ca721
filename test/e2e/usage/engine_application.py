"""An application in Python for tests of usage, with sqlite3 of the standard library: [<actions>].

PORT and DATA_DIR are all else it gets. POST runs a JSON list of actions (engine-actions.ts) and answers with the result of the last; an error
is 500 with its text. With an argument it runs those actions instead, prints the result, and ends. engine-application.mjs is the same in JavaScript.
"""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from urllib.parse import quote

sys.dont_write_bytecode = True
from json_server import serve

data = os.environ["DATA_DIR"]
connections = {}
descriptors = {}
children = {}


def place(name):
    """Of a name in the data folder; each character of it is a byte."""
    return os.fsencode(data) + b"/" + name.encode("latin-1")


def open_database(action):
    query = action.get("query", "")
    path = "file:" + quote(place(action["open"])) + query if query else place(action["open"])
    timeout = action.get("timeoutMs", 5000) / 1000
    connections[action.get("as", "main")] = sqlite3.connect(path, uri=bool(query), isolation_level=None, timeout=timeout, check_same_thread=False)


def on(action):
    return connections[action.get("on", "main")]


def execute(action):
    for statement in action["exec"].split(";"):
        on(action).execute(statement).fetchall()


def hasty(action):
    """How often it was kept out, however many tries each took."""
    refused, was_refused, done = 0, False, 0
    while done < action["times"]:
        try:
            on(action).execute(action["hasty"])
            done, was_refused = done + 1, False
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            refused += 0 if was_refused else 1
            was_refused = True
    return refused


def each(action):
    result = None
    for turn in range(action["each"]):
        result = run_all(json.loads(json.dumps(action["run"]).replace("$i", str(turn))))
    return result


def rename_if_there(action):
    old, new = map(place, action["renameIfThere"])
    if os.path.exists(old):
        os.rename(old, new)


def remove(action):
    for name in action["remove"]:
        try:
            os.remove(place(name))
        except FileNotFoundError:
            pass


def text(action):
    with open(place(action["to"]), "w") as file:
        file.write(action["text"])


def allocate(action):
    descriptors[action["allocate"]] = os.open(place(action["allocate"]), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    os.ftruncate(descriptors[action["allocate"]], action["bytes"])


def part(action):
    with open(place(action["from"]), "rb") as source:
        content = os.pread(source.fileno(), action["bytes"], action["at"])
    os.pwrite(descriptors[action["part"]], content, action["at"])


def child(action):
    command = [sys.executable, __file__, json.dumps(action["run"])]
    children[action["child"]] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def join(action):
    process = children.pop(action["join"])
    output, errors = process.communicate()
    return json.loads(output) if process.returncode == 0 else errors


actions = {
    "open": open_database,
    "exec": execute,
    "all": lambda action: [row[0] for row in on(action).execute(action["all"]).fetchall()],
    "close": lambda action: connections.pop(action["close"]).close(),
    "hasty": hasty,
    "each": each,
    "rename": lambda action: os.rename(*map(place, action["rename"])),
    "renameIfThere": rename_if_there,
    "link": lambda action: os.link(*map(place, action["link"])),
    "symlink": lambda action: os.symlink(action["symlink"][0], place(action["symlink"][1])),
    "text": text,
    "remove": remove,
    "allocate": allocate,
    "part": part,
    "release": lambda action: os.close(descriptors.pop(action["release"])),
    "cp": lambda action: subprocess.run(["cp", *map(place, action["cp"])], check=True) and None,
    "child": child,
    "join": join,
    # Once this request is answered.
    "exit": lambda action: threading.Timer(0.1, lambda: os._exit(1)).start(),
}


def run_all(listed):
    result = None
    for action in listed:
        result = actions[next(iter(action))](action)
    return result


one_at_a_time = threading.Lock()


def run(body):
    with one_at_a_time:
        return run_all(json.loads(body))


if len(sys.argv) > 1:
    print(json.dumps(run_all(json.loads(sys.argv[1]))))
else:
    serve(run, ThreadingHTTPServer)
