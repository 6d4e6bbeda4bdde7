"""sockjs-client in a real browser, by every transport: from a page of another
origin, and from one of the same."""

import pytest

from node import Browser, Pages, put_pages, why_no_browser
from talks import OPTIONS, Talks

ELSEWHERE = ("websocket", "xhr-streaming", "eventsource",
             "iframe-eventsource", "iframe-htmlfile", "xhr-polling",
             "iframe-xhr-polling", "jsonp-polling")
# The client uses it in pages of the same origin only.
HERE = ("htmlfile",)

pytestmark = [
    pytest.mark.skipif(bool(why_no_browser()),
                       reason=why_no_browser() or "it is there"),
    pytest.mark.prefix("/live"),
    pytest.mark.options(sockjs_url="/sockjs.min.js", **OPTIONS)]


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    with Pages(tmp_path_factory.mktemp("pages")) as pages:
        yield pages


@pytest.fixture
def page_here(browser, stack):
    """Of polysocket's own origin, since that is mounted below a prefix."""
    put_pages(stack.directory)
    page_url = stack.url.removesuffix(stack.prefix) + "/page.html"
    with browser.open(page_url) as page:
        yield page


@pytest.fixture
def page_elsewhere(browser, pages, stack):
    # The client of an iframe is polysocket's own.
    put_pages(stack.directory)
    with browser.open(pages.url + "/page.html") as page:
        yield page


class TestPageElsewhere(Talks):
    @pytest.fixture(params=ELSEWHERE)
    def transport(self, request):
        return request.param

    @pytest.fixture
    def connect(self, page_elsewhere, transport):
        return lambda url: page_elsewhere.connect(url, transport)


class TestPageHere(Talks):
    @pytest.fixture(params=HERE)
    def transport(self, request):
        return request.param

    @pytest.fixture
    def connect(self, page_here, transport):
        return lambda url: page_here.connect(url, transport)


@pytest.mark.parametrize("transport", [
    transport for transport in ELSEWHERE if "iframe" not in transport])
def test_the_rest_works_from_the_same_origin_too(
        page_here, stack, new_application, transport):
    application = new_application("echo")
    user = page_here.connect(f"{stack.url}/{application.authorize()}",
                             transport)
    assert user.transport == transport
    user.say("hello")
    assert user.next() == "hello"


def test_an_origin_that_is_not_allowed_gets_nowhere(page_elsewhere, stack,
                                                    new_application):
    application = new_application("echo", origins=["https://other.example"])
    socket_id = application.authorize()
    closed = page_elsewhere.evaluate(
        f"people.connect({{ url: '{stack.url}/{socket_id}' }})")
    assert closed["code"] == 1002 and closed["wasClean"] is False
    assert application.callbacks == []


def test_pages_that_leave_are_told_of(browser, pages, stack,
                                      new_application):
    application = new_application("echo", events=True)
    url = f"{stack.url}/{application.authorize()}"
    with browser.open(pages.url + "/page.html") as page:
        page.connect(url)
        application.wait_event("connected")
    assert application.wait_event("disconnected")["client"] == "ann"
