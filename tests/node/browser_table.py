#!/usr/bin/python3
"""Prints the table of doc/applications.md: what works in a real browser.

    POLYSOCKET_BUILD=build tests/node/browser_table.py

Every transport through both web servers, each forced: all of talks.TEXTS and
messages of 100 KB both ways, a message that is published, and a close by each
side. `yes`, or what went wrong.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from application import Application, Responder                  # noqa: E402
from node import Browser, NodeError, Pages, put_pages           # noqa: E402
from stack import SERVERS, Stack                                # noqa: E402
from talks import LONG, TEXTS                                   # noqa: E402

TRANSPORTS = ("websocket", "xhr-streaming", "eventsource",
              "iframe-eventsource", "htmlfile", "iframe-htmlfile",
              "xhr-polling", "iframe-xhr-polling", "jsonp-polling")
SAME_ORIGIN = ("htmlfile",)
CLOSE = {"code": 3001, "reason": "enough"}


def attempt(page, stack, application, transport):
    """Raises where anything is not as it should."""
    socket_id = application.authorize(transport)
    user = page.connect(f"{stack.url}/{socket_id}", transport)
    expect("transport", user.transport, transport)
    for text in (*TEXTS, *LONG):
        user.say(text)
    expect("texts", [user.next() for _ in (*TEXTS, *LONG)], [*TEXTS, *LONG])
    application.publish(socket_id, "published")
    expect("publish", user.next(), "published")
    application.publish(
        socket_id, close=CLOSE,
        session=application.sessions(socket_id)[0]["session"])
    expect("close", user.happens(), {**CLOSE, "wasClean": True})
    again = page.connect(f"{stack.url}/{socket_id}", transport)
    expect("close", again.close(3002, "bye"), {
        "code": 3002, "reason": "bye", "wasClean": True})


def expect(what, found, wanted):
    if found != wanted:
        raise NodeError(f"{what}: {str(found)[:60]!r}")


def column(server, browser, pages, responder):
    """What each transport does, through one web server."""
    with Stack(server, "/live",
               {"sockjs_url": "/sockjs.min.js"}) as stack:
        put_pages(stack.directory)
        application = Application(stack, responder, "echo")
        here = stack.url.removesuffix(stack.prefix)
        for transport in TRANSPORTS:
            origin = here if transport in SAME_ORIGIN else pages.url
            try:
                with browser.open(origin + "/page.html") as page:
                    attempt(page, stack, application, transport)
                    yield "yes"
            except NodeError as error:
                yield f"no: {str(error).splitlines()[0]}"


def main():
    with tempfile.TemporaryDirectory() as directory, \
            Responder() as responder, \
            Pages(directory) as pages, Browser() as browser:
        columns = [list(column(server, browser, pages, responder))
                   for server in SERVERS]
        print(f"| Chromium {browser.version} | {' | '.join(SERVERS)} |")
    print("|" + "---|" * (len(SERVERS) + 1))
    for transport, *results in zip(TRANSPORTS, *columns):
        print(f"| `{transport}` | {' | '.join(results)} |")
    return any(result != "yes"
               for results in columns for result in results)


if __name__ == "__main__":
    sys.exit(main())
