"""A writer that never waits: commits one after the other without a busy timeout, and prints how often it was refused.

hasty-writer.py DATABASE COMMITS. hasty-writer.ts is the same in TypeScript."""
import json
import sqlite3
import sys

path, commits = sys.argv[1], int(sys.argv[2])
database = sqlite3.connect(path, timeout=0, isolation_level=None)
database.execute("PRAGMA synchronous=NORMAL").fetchall()
database.execute("PRAGMA wal_autocheckpoint=0").fetchall()
done, refused, was_refused = 0, 0, False
while done < commits:
    try:
        database.execute("INSERT OR REPLACE INTO t(id, v) VALUES (?, randomblob(3000))", (done % 200,))
        done, was_refused = done + 1, False
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        refused, was_refused = refused + (not was_refused), True
print(json.dumps({"done": done, "refused": refused}))
