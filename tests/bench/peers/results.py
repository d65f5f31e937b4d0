"""Where the Celery worker records: SQLite, each result synced before it counts."""

import json
import sqlite3


def connect(file):
    connection = sqlite3.connect(file, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS results (image TEXT PRIMARY KEY, scores TEXT)")
    return connection


def record(connection, image, scores):
    with connection:
        connection.execute("REPLACE INTO results VALUES (?, ?)", (image, json.dumps(scores)))


def count(connection):
    return connection.execute("SELECT count(*) FROM results").fetchone()[0]
