"""One writer of the stress test, in Python: the same as stress-writer.ts, with another SQLite library."""
import random
import sqlite3
import sys
import time

path, writer, seed, mode = sys.argv[1:5]
dice = random.Random(int(seed))
database = sqlite3.connect(path, timeout=30, isolation_level=None)
database.execute("PRAGMA journal_mode=WAL").fetchall()
database.execute("PRAGMA synchronous=NORMAL").fetchall()
database.execute("PRAGMA cache_size=20").fetchall()
database.execute(f"PRAGMA wal_autocheckpoint={dice.choice([1, 2, 5, 20, 100, 1000])}").fetchall()
sequence = (database.execute("SELECT max(sequence) FROM acks WHERE writer = ?", (writer,)).fetchone()[0] or 0) + 1


def churn(size):
    database.execute("INSERT OR REPLACE INTO churn(id, content) VALUES (?, randomblob(?))", (dice.randrange(500), size))


def spill_and_roll_back():
    database.execute("BEGIN IMMEDIATE")
    for _ in range(60):
        churn(3000)
    database.execute("ROLLBACK")


def vacuum():
    try:
        database.execute("DELETE FROM churn WHERE id % 2 = 1")
        database.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise


def checkpoint(name):
    started = time.monotonic()
    busy = database.execute(f"PRAGMA wal_checkpoint({name})").fetchone()[0]
    print("C", name, busy, f"{(time.monotonic() - started) * 1000:.2f}", flush=True)


while True:
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO acks(writer, sequence, content) VALUES (?, ?, randomblob(?))", (writer, sequence, dice.randrange(3000)))
    for _ in range(dice.randrange(8)):
        churn(dice.randrange(6000))
    database.execute("COMMIT")
    print("A", sequence, flush=True)
    sequence += 1
    roll = dice.randrange(100)
    if roll < 2:
        spill_and_roll_back()
    elif roll < 3:
        vacuum()
    elif roll < 8:
        checkpoint(dice.choice(["FULL", "RESTART", "TRUNCATE"]) if mode == "heavy" else "PASSIVE")
