"""The chat of examples/, running behind a stack, in PHP or in Python.

    with PhpChat(stack) as chat:        # or PythonChat
        ...chat.url...

Of a stack that has not started `install()` makes one that serves the chat in
PHP beside polysocket. What runs is a copy in the stack's directory, as
somebody would make it who installs it: the web server's user may read it.
"""

import shutil
import subprocess
import sys

from database import insert
from node import module
from stack import SOURCE, can_connect, free_port, unix_listener

EXAMPLES = SOURCE / "examples"
# Where the examples' configuration has them.
INSTALLED = "/usr/local/share/polysocket/examples"
PHP_SOCKET = "/run/php/php8.2-fpm.sock"
PHP_PROCESSES = 4


def install(stack):
    """Before the stack starts."""
    copy_examples(stack)
    text = (EXAMPLES / f"{stack.server}.conf").read_text("utf-8")
    assert INSTALLED in text and PHP_SOCKET in text
    stack.beside += text.replace(INSTALLED, str(examples_of(stack))).replace(
        PHP_SOCKET, str(stack.directory / "php.sock"))
    # Of the same version as the page's.
    stack.options["sockjs_url"] = "/chat/sockjs.min.js"


def examples_of(stack):
    return stack.directory / "examples"


def copy_examples(stack):
    if examples_of(stack).exists():
        return
    shutil.copytree(EXAMPLES, examples_of(stack),
                    ignore=shutil.ignore_patterns("__pycache__"))
    client = module("sockjs-client")
    if client:      # pages need it, what has one of its own does not
        shutil.copy(client / "dist" / "sockjs.min.js",
                    examples_of(stack) / "chat")


def origin(url):
    return "/".join(url.split("/")[:3])


class Chat:
    """`secret` is that of a token which is there; otherwise one is made that
    lets nobody but the chat's own page in."""

    callback = None     # where it takes callbacks, below its URL

    def __init__(self, stack, secret=None):
        self.stack = stack
        self.secret = secret
        self.process = None

    def add_token(self):
        self.secret = "secret-of-the-chat"
        # An iframe's requests come from polysocket's own origin.
        origins = {origin(self.url), origin(self.stack.url)}
        number = self.stack.add_token(
            self.secret, origins, (), (), name="chat", publish_auth=1)
        self.stack.sql(insert("token_callbacks", {
            "token_id": number, "pattern": self.url + "*"}))
        self.stack.wait_policy()

    def write_settings(self):
        """As the comments of chat.ini say."""
        key = self.stack.database.value(
            "SELECT callback_key FROM tokens WHERE name = 'chat'")
        text = (EXAMPLES / "chat.ini").read_text("utf-8")
        for old, new in {
                "http://live.example.com": self.stack.url,
                "SECRET": self.secret,
                "whsec_KEY": key,
                "http://www.example.com/chat/callback.php":
                    self.url + self.callback,
                "/var/lib/chat/chat.db": self.database_path}.items():
            assert text.count("= " + old) == 1, old
            text = text.replace("= " + old, f"= {new}")
        self.settings_path.write_text(text, "utf-8")

    @property
    def settings_path(self):
        return self.stack.directory / "chat.ini"

    @property
    def database_path(self):
        return self.stack.directory / "chat.db"

    def rows(self, sql):
        """Of the chat's own database, by sqlite3."""
        done = subprocess.run(
            ["sqlite3", "-cmd", ".timeout 5000", self.database_path, sql],
            text=True, capture_output=True, check=True, timeout=20)
        return done.stdout.splitlines()

    def run(self, command, stdin=subprocess.DEVNULL):
        self.process = self.stack.run(self.name, [
            "env", f"CHAT_CONFIG={self.settings_path}",
            f"PHP_FCGI_CHILDREN={PHP_PROCESSES}", *command], stdin)

    def stop(self):
        self.stack.end(self.name, self.process, 15)
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class PhpChat(Chat):
    """In a stack that install() has prepared."""

    name = "php"
    callback = "callback.php"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.stack.port}/chat/"

    def start(self):
        with unix_listener(self.stack.directory / "php.sock") as listener:
            self.run(["php-cgi", "-d", "log_errors=1"], listener)
        if self.secret is None:
            self.add_token()
        self.write_settings()


class PythonChat(Chat):
    """A web server of its own, at a port of its own."""

    name = "chat-python"
    callback = "callback"
    port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        copy_examples(self.stack)
        self.port = self.port or free_port()
        if self.secret is None:
            self.add_token()
        self.write_settings()
        self.run([sys.executable, examples_of(self.stack)
                  / "chat-python/chat.py", self.port])
        self.stack.wait_until(
            lambda: can_connect(("127.0.0.1", self.port)), "chat.py",
            self.process)
