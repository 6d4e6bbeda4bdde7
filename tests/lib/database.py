"""A polysocket database as its administrator sees it: through `sqlite3`.

    database = Database.create(path)
    database.sql("INSERT INTO tokens (name, secret) VALUES ('me', 'x')")
    for row in database.sql("SELECT * FROM token_overview"):
        ...row["name"]...

Every statement is run by the real program. Standard library only.
"""

import json
import pathlib
import subprocess

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema" / "schema.sql"
TIMEOUT_S = 60
BUSY_MS = 10000     # wsbridge writes several times a second


class SqlError(Exception):
    """What sqlite3 said."""


class Database:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    @classmethod
    def create(cls, path):
        """The way that README shows."""
        database = cls(path)
        database.load(SCHEMA)
        return database

    def load(self, script):
        with open(script, encoding="utf-8") as lines:
            done = subprocess.run(["sqlite3", "-bail", self.path], stdin=lines,
                                  capture_output=True, text=True,
                                  timeout=TIMEOUT_S, check=False)
        if done.returncode != 0 or done.stderr:
            raise SqlError(done.stderr)

    def sql(self, *statements):
        """Runs them until one fails; returns their rows as dicts."""
        done = subprocess.run(
            ["sqlite3", "-bail", "-json", "-cmd", f".timeout {BUSY_MS}",
             self.path, ";\n".join(statements)],
            capture_output=True, stdin=subprocess.DEVNULL, text=True,
            encoding="utf-8", errors="surrogateescape",     # of blobs
            timeout=TIMEOUT_S, check=False)
        if done.returncode != 0 or done.stderr:
            raise SqlError(done.stderr)
        return rows(done.stdout)

    def row(self, statement):
        """The one row of a SELECT."""
        found = self.sql(statement)
        assert len(found) == 1, (statement, found)
        return found[0]

    def value(self, statement):
        """The one value of a SELECT."""
        value, = self.row(statement).values()
        return value

    def values(self, statement):
        """The one column of a SELECT."""
        return [value for row in self.sql(statement)
                for value in row.values()]

    def shell(self):
        return Shell(self.path)

    def files(self):
        """All bytes of the database, those that wait in its log included."""
        return b"".join(path.read_bytes() for path in sorted(
            self.path.parent.glob(self.path.name + "*")))


class Shell:
    """A sqlite3 that stays, with its connection, transaction and locks."""

    DONE = "<done>"

    def __init__(self, path):
        self.process = subprocess.Popen(
            ["sqlite3", "-json", "-cmd", f".timeout {TIMEOUT_S}000", path],
            stdin=subprocess.PIPE, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)

    def lock(self):
        """Nobody else can write from now on."""
        assert self.run("BEGIN IMMEDIATE") == ""

    def run(self, statement):
        """Its output; errors are part of it, as they are for people."""
        self.process.stdin.write(f"{statement};\n.print {self.DONE}\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == self.DONE + "\n":
                return "".join(lines)
            lines.append(line)
        raise SqlError("sqlite3 ended: " + "".join(lines))

    def kill(self):
        """As when the power goes: nothing is tidied up."""
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.stdin.close()
        self.process.wait(TIMEOUT_S)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def rows(text):
    """The rows of several SELECTs, whose arrays follow one another."""
    found, decoder = [], json.JSONDecoder()
    text = text.strip()
    while text:
        array, end = decoder.raw_decode(text)
        found += array
        text = text[end:].lstrip()
    return found


def quote(value):
    """As a literal of SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, (int, float)):
        return str(int(value) if isinstance(value, bool) else value)
    return "'" + str(value).replace("'", "''") + "'"


def insert(table, row):
    return (f"INSERT INTO {table} ({', '.join(row)}) VALUES "
            f"({', '.join(map(quote, row.values()))})")
