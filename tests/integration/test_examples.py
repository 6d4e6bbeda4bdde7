"""The programs in examples/: the chat in both languages, by itself and in a
real browser, and what verifies a signature."""

import base64
import hashlib
import hmac
import importlib.util
import json
import re
import subprocess
import time
import urllib.parse

import pytest

from chat import EXAMPLES, PhpChat, PythonChat, examples_of, install
from client import Http
from node import Browser, Node, why_no_browser, why_not
from stack import SOURCE

LANGUAGES = {"php": PhpChat, "python": PythonChat}
# A callback that fails comes again, and a poll that Apache's client has left
# is missed.
SOON = {"callback_backoff": "100ms", "heartbeat_interval": "500ms"}
KEY = "whsec_" + base64.b64encode(bytes(range(24))).decode()
# The example of the Standard Webhooks, long ago.
STANDARD = {
    "key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "webhook_id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": "1614265330",
    "signatures": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "body": b'{"test": 2432232314}', "window_s": 10 ** 10}

needs_node = pytest.mark.skipif(bool(why_not("sockjs-client")),
                                reason=why_not("sockjs-client") or "there")
needs_browser = pytest.mark.skipif(bool(why_no_browser()),
                                   reason=why_no_browser() or "there")


def sign(key, webhook_id, timestamp, body):
    secret = base64.b64decode(key.removeprefix("whsec_"))
    digest = hmac.new(secret, f"{webhook_id}.{timestamp}.".encode() + body,
                      hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


# ---- Verifying a signature

def verify_python(_directory, *args):
    spec = importlib.util.spec_from_file_location("verify",
                                                  EXAMPLES / "verify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.verify_callback(*args)
    except ValueError as error:
        return str(error)


def verify_php(directory, *args):
    script = directory / "verify-test.php"
    script.write_text(f"""<?php require '{EXAMPLES}/verify.php';
        $args = json_decode(file_get_contents('php://stdin'));
        $args[4] = base64_decode($args[4]);
        try {{
            $result = verify_callback(...$args);
        }} catch (InvalidArgumentException $error) {{
            $result = $error->getMessage();
        }}
        echo json_encode($result);""")
    args = list(args)
    args[4] = base64.b64encode(args[4]).decode()
    done = subprocess.run(["php-cgi", "-q", script], input=json.dumps(args),
                          text=True, capture_output=True, timeout=30,
                          check=True)
    return json.loads(done.stdout)


@pytest.fixture(params=[verify_python, verify_php])
def verify(request, tmp_path):
    """What is right, but for what a test changes."""
    def call(**changes):
        right = {"key": KEY, "webhook_id": "msg_a-1_1",
                 "timestamp": str(int(time.time())),
                 "body": '{"message":"\u00e4"}'.encode(), "window_s": 300}
        right["signatures"] = sign(right["key"], right["webhook_id"],
                                   right["timestamp"], right["body"])
        right.update(changes)
        return request.param(tmp_path, *(right[name] for name in (
            "key", "webhook_id", "timestamp", "signatures", "body",
            "window_s")))

    return call


def test_a_right_signature_is_accepted(verify):
    assert verify() is True
    assert verify(**STANDARD) is True
    assert sign(*(STANDARD[name] for name in (
        "key", "webhook_id", "timestamp", "body"))) == STANDARD["signatures"]


def test_one_right_signature_among_several_is_enough(verify):
    """While a key is being changed there may be two."""
    now = str(int(time.time()))
    body = b"{}"
    right = sign(KEY, "msg_1", now, body)
    for signatures in (f"v1,AAAA {right}", f"{right} v2,AAAA"):
        assert verify(webhook_id="msg_1", timestamp=now, body=body,
                      signatures=signatures) is True


@pytest.mark.parametrize("change", [
    {"webhook_id": "msg_a-1_2"}, {"webhook_id": ""}, {"body": b"{}"},
    {"body": b""}, {"signatures": ""}, {"signatures": "v1,"},
    {"signatures": "v1,\xff"}, {"key": "whsec_" + "A" * 32},
    {"timestamp": ""}, {"timestamp": "1e9"}, {"timestamp": "-1"},
    {"timestamp": "now"}, {"timestamp": "\u0663"}])
def test_a_wrong_signature_is_not(verify, change):
    assert verify(**change) is False


@pytest.mark.parametrize("age_s", [-301, 302, 10 ** 9])
def test_an_old_signature_is_not(verify, age_s):
    timestamp = str(int(time.time()) - age_s)
    right = {"webhook_id": "msg_1", "timestamp": timestamp, "body": b"{}",
             "signatures": sign(KEY, "msg_1", timestamp, b"{}")}
    assert verify(**right) is False
    assert verify(**right, window_s=2 * 10 ** 9) is True


@pytest.mark.parametrize("key", ["", "whsec_", "whsec_QUJD", KEY[6:]])
def test_without_a_key_nothing_is_genuine(verify, key):
    """Where nobody has set one, anybody could sign."""
    signatures = sign("whsec_", "msg_1", "1", b"{}")
    assert verify(key=key, signatures=signatures) == "that is no callback_key"


# ---- The chat

@pytest.fixture
def stack(new_stack):
    stack = new_stack(start=False, targets=None, options=SOON)
    install(stack)
    return stack.start()


@pytest.fixture(params=LANGUAGES)
def chat(request, stack):
    with LANGUAGES[request.param](stack) as chat:
        yield chat


@pytest.fixture(scope="module")
def node():
    with Node("sockjs.cjs") as node:
        yield node


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


class Person:
    """Somebody who has signed in by HTTP and connected."""

    def __init__(self, node, chat, name, transport=None):
        response = try_sign_in(chat, name)
        assert response.status == 200, response
        self.node, self.name = node, name
        self.url = response.json["url"]
        self.connect(transport)

    def connect(self, transport=None):
        self.user = self.node.connect(self.url, transport)
        self.told = []      # on connecting, up to who is here
        while "here" not in (message := json.loads(self.user.next())):
            self.told.append(message)
        self.here = message["here"]

    def says(self, text):
        self.user.say(text)

    def hears(self, **wanted):
        """The next message like that."""
        while not wanted.items() <= (
                message := json.loads(self.user.next())).items():
            pass
        return message


def ask(chat, path, body, headers=None):
    url = urllib.parse.urlsplit(chat.url)
    return Http(url.port).post(url.path + path, body, headers)


def try_sign_in(chat, name):
    return ask(chat, "", {"name": name})


def callback(chat, webhook_id, key=None, age_s=0, **fields):
    """One as polysocket would post it."""
    key = key or chat.stack.database.value(
        "SELECT callback_key FROM tokens WHERE name = 'chat'")
    body = json.dumps(fields).encode()
    timestamp = int(time.time()) - age_s
    return Http(urllib.parse.urlsplit(chat.url).port).request(
        "POST", urllib.parse.urlsplit(chat.url).path + chat.callback,
        None, {"Content-Type": "application/json", "webhook-id": webhook_id,
               "webhook-timestamp": str(timestamp),
               "webhook-signature": sign(key, webhook_id, timestamp, body)},
        body)


@needs_node
def test_people_talk(node, chat):
    ann = Person(node, chat, "Ann", "websocket")
    assert ann.here == ["Ann"]
    bob = Person(node, chat, "Bob", "xhr-polling")
    assert bob.here == ["Ann", "Bob"]
    assert ann.hears(kind="joined")["name"] == "Bob"
    for person, text in ((ann, "hello"), (bob, "\u00e4\U0001f600 <b>'\"")):
        person.says(text)
        for listener in (ann, bob):
            line = listener.hears(kind="said")
            assert (line["name"], line["text"]) == (person.name, text)
    bob.says("/who")
    assert bob.hears()["private"] == "here: Ann, Bob"
    bob.user.close()
    assert ann.hears(kind="left")["name"] == "Bob"


@needs_node
def test_who_comes_later_is_told_what_was_said(node, chat):
    ann = Person(node, chat, "Ann")
    ann.says("is anybody there?")
    line = ann.hears(kind="said")
    told = Person(node, chat, "Bob").told
    assert line in told
    # His own coming is published to him as well.
    assert {(line["kind"], line["name"]) for line in told} == {
        ("joined", "Ann"), ("said", "Ann"), ("joined", "Bob")}


@needs_node
def test_a_name_is_one_persons(node, chat):
    ann = Person(node, chat, "Ann")
    for name in ("Ann", "ann"):
        response = try_sign_in(chat, name)
        assert response.status == 409 and "here" in response.json["error"]
    assert ann.here == ["Ann"]


def test_a_name_that_is_none_is_refused(chat):
    for body in ({"name": ""}, {"name": "<b>"}, {"name": "x" * 21},
                 {"name": "Ann\n"}, {"name": "\u202eAnn"}, {"name": 1},
                 {"name": ["Ann"]}, {}, [], "Ann"):
        response = ask(chat, "", body)
        assert response.status == 400 and response.json["error"], body
    assert try_sign_in(chat, "Ann").status == 200
    assert chat.rows("SELECT name FROM people") == ["Ann"]


@needs_node
def test_what_is_not_signed_changes_nothing(node, chat):
    ann = Person(node, chat, "Ann")
    session = chat.rows("SELECT session FROM sessions")[0]
    client = chat.rows("SELECT client FROM people")[0]
    said = {"message": "forged", "session": session, "client": client}
    assert callback(chat, "msg_1", KEY, **said).status == 401
    assert callback(chat, "msg_1", age_s=400, **said).status == 401
    assert ask(chat, chat.callback, said).status == 401
    ann.says("genuine")
    assert ann.hears(kind="said")["text"] == "genuine"


@needs_node
def test_a_callback_that_comes_again_says_nothing_new(node, chat):
    ann = Person(node, chat, "Ann")
    said = {"message": "once", "session": "s-1",
            "client": chat.rows("SELECT client FROM people")[0]}
    for _ in range(2):
        assert callback(chat, "msg_of-ours_1", **said).status == 200
    assert callback(chat, "msg_of-ours_2", **said).status == 200
    first, again, other = (ann.hears(kind="said") for _ in range(3))
    assert first == again, "its number tells the page that it has it"
    assert other["number"] > first["number"]


@needs_node
def test_what_is_no_text_or_too_long_is_told_to_who_said_it(node, chat):
    ann = Person(node, chat, "Ann")
    ann.says("x" * 5000)
    assert ann.hears()["private"] == "that was too long"
    ann.says("half a pair: \ud800")     # each language has its own answer
    ann.says("and on")
    while ann.hears().get("text") != "and on":
        pass


@needs_node
def test_a_restart_of_the_chat_loses_nothing(node, chat):
    ann = Person(node, chat, "Ann")
    chat.stop()
    ann.says("does anybody hear me?")
    chat.start()
    assert ann.hears(kind="said")["text"] == "does anybody hear me?"


@needs_node
def test_who_comes_back_is_the_same_person(node, chat):
    ann = Person(node, chat, "Ann")
    ann.user.close()
    chat.stack.wait_until(
        lambda: chat.rows("SELECT count(*) FROM sessions") == ["0"],
        "the chat hearing that she left")
    ann.connect()
    assert ann.here == ["Ann"]


@needs_node
def test_who_is_forgotten_is_sent_away(node, chat):
    ann = Person(node, chat, "Ann")
    chat.rows("DELETE FROM people")
    ann.says("hello?")
    assert ann.user.happens()["code"] == 3000


# ---- The page

def lines(page):
    return page.evaluate("[...document.querySelectorAll('#lines div')]"
                         ".map(line => line.textContent)")


def shows(page, text):
    page.wait("document.querySelector('#lines').textContent.includes("
              f"{json.dumps(text)})")


def sign_in(browser, chat, name, transport=""):
    page = browser.open(f"{chat.url}?transport={transport}")
    page.fill("#sign-in input", name)
    shows(page, f"{name} joined")
    return page


@needs_browser
@pytest.mark.parametrize("transport", ["", "xhr-polling",
                                       "iframe-eventsource"])
def test_two_pages_talk(browser, chat, transport):
    with sign_in(browser, chat, "Ann", transport) as ann:
        with sign_in(browser, chat, "Bob") as bob:
            shows(ann, "Bob joined")
            ann.fill("#say input", "hello <b>Bob</b> \u00e4\U0001f600")
            shows(bob, "Ann: hello <b>Bob</b> \u00e4\U0001f600")
            bob.fill("#say input", "hello Ann")
            shows(ann, "Bob: hello Ann")
            bob.fill("#say input", "/who")
            bob.wait("document.querySelector('#note').textContent"
                     " == 'here: Ann, Bob'")
        shows(ann, "Bob left")
        assert lines(ann) == [
            "Ann joined", "Bob joined",
            "Ann: hello <b>Bob</b> \u00e4\U0001f600", "Bob: hello Ann",
            "Bob left"]
        assert ann.evaluate("here.size") == 1


@needs_browser
def test_a_page_connects_again_and_shows_what_it_missed(browser, chat):
    with sign_in(browser, chat, "Ann") as ann, \
            sign_in(browser, chat, "Bob") as bob:
        bob.fill("#say input", "one")
        shows(ann, "Bob: one")
        before = chat.stack.bridge_pid
        chat.stack.stop_bridge()
        chat.stack.start_bridge()
        assert chat.stack.bridge_pid != before
        for page in (ann, bob):
            page.wait("document.querySelector('#note').textContent"
                      ".startsWith('connected')")
        bob.fill("#say input", "two")
        shows(ann, "Bob: two")
        assert [line for line in lines(ann) if "Bob:" in line] == [
            "Bob: one", "Bob: two"]


@needs_browser
def test_a_page_says_why_one_cannot_sign_in(browser, chat):
    with sign_in(browser, chat, "Ann"), browser.open(chat.url) as page:
        page.fill("#sign-in input", "Ann")
        page.wait("document.querySelector('#note').textContent"
                  " == 'somebody of that name is here'")


# ---- The ten lines of README

def ten_lines():
    """In three blocks: a file, a piece of a page, and a statement."""
    text = (SOURCE / "README.md").read_text("utf-8")
    chapter, = re.findall("^## Live updates.*?(?=^## )", text,
                          re.MULTILINE | re.DOTALL)
    found = [re.sub("^    ", "", block, flags=re.MULTILINE)
             for block in re.findall("(?:^    .*\n)+", chapter, re.MULTILINE)
             if "sudo sqlite3" not in block]
    assert sum(block.count("\n") for block in found) == 10
    return found


@needs_browser
def test_ten_lines_bring_news_to_a_page(browser, stack):
    """As README says, with the names of this host: its chapter tells what
    else the page has."""
    with PhpChat(stack) as php:
        live, piece, statement = (
            block.replace("http://live.example.com", stack.url)
            .replace("http://www.example.com/", php.url)
            .replace("SECRET", php.secret) for block in ten_lines())
        folder = examples_of(stack) / "chat-php"
        begin = "<?php require 'live.php' ?>"
        for name, text in {
                "live.php": live, "heard.php": "",
                "page.php": f'{begin}<p id="news"></p>{piece}',
                "sell.php": f"{begin}<?php {statement}"}.items():
            (folder / name).write_text(text, "utf-8")
        with browser.open(php.url + "page.php") as one, \
                browser.open(php.url + "page.php") as other:
            pages = (one, other)
            stack.wait_until(lambda: stack.database.value(
                "SELECT count(*) FROM live_sessions") == 2, "both pages")
            assert Http(stack.port).get("/chat/sell.php").status == 200
            for page in pages:
                page.wait("news.textContent == 'Sold out.'")
