"""An application in Python: one JSON request per line in (`uri` opens, `sql` runs, `close`), one answer per line out."""
import json
import sqlite3
import sys

connections = {}


def answer(request):
    name = request["connection"]
    if "uri" in request:
        connections[name] = sqlite3.connect(request["uri"], uri=True, isolation_level=None, timeout=5)
        return None
    if request.get("close"):
        connections.pop(name).close()
        return None
    rows = []
    for statement in request["sql"].split(";"):
        if statement.strip():
            rows = connections[name].execute(statement).fetchall()
    return rows


for line in sys.stdin:
    try:
        print(json.dumps({"ok": answer(json.loads(line))}), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
