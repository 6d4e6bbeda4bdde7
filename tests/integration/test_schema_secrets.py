"""Secrets in the database: hashed, and nowhere else."""

import random
import re
import secrets

import pytest

from database import insert
from schema import EXPIRES, hash_of, new_token, sha3


def test_a_secret_becomes_its_hash(tokens):
    assert tokens.values("SELECT DISTINCT secret FROM tokens") == [None]
    assert hash_of(tokens, "a") == sha3("secret-a")
    assert hash_of(tokens, "b") == sha3("secret-b")
    assert tokens.value("SELECT secret_hash FROM tokens"
                        " WHERE name = 'anonymous'") is None


def test_a_changed_secret_becomes_its_hash(tokens):
    tokens.sql("UPDATE tokens SET secret = 'other', note = 'changed'"
               " WHERE name = 'a'")
    assert tokens.row("SELECT secret, note FROM tokens WHERE name = 'a'") == {
        "secret": None, "note": "changed"}
    assert hash_of(tokens, "a") == sha3("other")


def test_a_number_as_a_secret_is_its_digits(database):
    database.sql("INSERT INTO tokens (name, secret) VALUES ('n', 1234)")
    assert hash_of(database, "n") == sha3("1234")


def test_returning_shows_a_secret_once(tokens):
    made = "INSERT INTO tokens (name, secret) VALUES ('c'," \
           " lower(hex(randomblob(16)))) RETURNING secret"
    secret = tokens.value(made)
    assert re.fullmatch("[0-9a-f]{32}", secret)
    assert hash_of(tokens, "c") == sha3(secret)
    changed = tokens.value("UPDATE tokens SET secret = 'seen-once'"
                           " WHERE name = 'c' RETURNING secret")
    assert changed == "seen-once"
    assert hash_of(tokens, "c") == sha3("seen-once")
    assert tokens.value("SELECT secret FROM tokens WHERE name = 'c'") is None


def test_a_hash_may_be_copied_from_another_database(database):
    database.sql("INSERT INTO tokens (name, secret_hash) VALUES"
                 f" ('c', x'{sha3('copied')}')")
    assert hash_of(database, "c") == sha3("copied")


def test_a_secret_that_is_gone_may_be_given_again(tokens):
    tokens.sql("DELETE FROM tokens WHERE name = 'a'",
               "INSERT INTO tokens (name, secret) VALUES ('c', 'secret-a')",
               "UPDATE tokens SET secret = 'x' WHERE name = 'c'",
               "INSERT INTO tokens (name, secret) VALUES ('a', 'secret-a')")
    assert hash_of(tokens, "a") == sha3("secret-a")


@pytest.mark.parametrize("ending", ["close", "kill"])
@pytest.mark.parametrize("secure_delete", ["ON", "FAST"])
def test_no_secret_stays_in_the_file_or_its_log(database, ending,
                                                secure_delete):
    # Among rows of all sizes, so that pages are split and reused.
    choose = random.Random(1)
    given = []

    def secret():
        given.append("Plain" + secrets.token_hex(choose.randint(8, 60)))
        return given[-1]

    with database.shell() as shell:
        shell.run(f"PRAGMA secure_delete = {secure_delete}")
        for i in range(200):
            note = "n" * choose.choice([0, 10, 300, 5000])
            statements = [insert("tokens", {
                "name": f"t{i}", "secret": secret(), "note": note})]
            if i % 3 == 0:
                statements.append(
                    f"UPDATE tokens SET secret = '{secret()}', note = 'u'"
                    f" WHERE name = 't{choose.randint(0, i)}'")
            if i % 7 == 0:
                statements.append("DELETE FROM tokens WHERE name ="
                                  f" 't{choose.randint(0, i)}'")
            # Refused, but only after it was written for a moment.
            statements.append(insert("tokens", {
                "name": "x", "secret": secret(), "expires_at": "never"}))
            if i % 10 == 0:
                statements = ["BEGIN", *statements, "COMMIT"]
            said = shell.run(";\n".join(statements))
            assert re.fullmatch(rf"Runtime error .*: {EXPIRES} \(19\)\n", said)
        assert (database.path.parent / "x.db-wal").stat().st_size > 0
        assert b"Plain" not in database.files()
        getattr(shell, ending)()
    assert b"Plain" not in database.files()
    assert database.value("SELECT count(*) FROM tokens") > 100
    assert b"Plain" not in database.files()


def test_no_secret_stays_when_sqlite3_dies_within_a_transaction(database):
    with database.shell() as shell:
        shell.run("BEGIN; " + new_token(secret="PlainSecret"))
        assert b"PlainSecret" not in database.files()
        shell.kill()
    assert b"PlainSecret" not in database.files()
    assert database.sql("SELECT * FROM tokens") == []


def test_the_file_would_show_a_secret_that_is_kept(database):
    # That the tests above look in the right place.
    with database.shell() as shell:
        shell.run("DROP TRIGGER tokens_hash_inserted; "
                  + new_token(secret="PlainSecret"))
        assert b"PlainSecret" in database.files()
