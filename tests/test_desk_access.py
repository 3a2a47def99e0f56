"""Who is let in at the desk, and how: links, company accounts, sessions, tokens; proxies, names, broken requests."""

from __future__ import annotations

import email
import email.policy
import http.client
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from starlette.requests import Request

from runner import config
from runner.acts import access as acts
from runner.acts.access import Order
from runner.commands import access as commands
from runner.config.ends import Desk as Settings
from runner.errors import ConfigError, UsageError
from runner.ledger import access as book
from runner.ledger import journal
from runner.web import session
from runner.web.access import Claim, Refused, bearer, let_in
from runner.web.backlog import Backlog
from runner.web.limits import Limit, client_of
from runner.web.pages.signin import own_way
from tests import browser, company_account, desk
from tests.company_account import Provider
from tests.desk import ANN, BOB, NOW, OLGA, STRANGER, Answer, Server
from tests.small_projects import change, mails, runner

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PUBLIC = "https://desk.shop.example"


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path)) as made:
        yield made


@contextmanager
def configured(folder: Path, more: str, **given: Mapping[str, str]) -> Iterator[Server]:
    """A desk with more of `desk` in its settings."""
    change(desk.copy(folder) / "config" / "settings.yml", "desk: {port: 0,", f"desk: {{port: 0, {more},")
    with desk.serving(folder, **given) as made:
        yield made


def mailed(server: Server, who: str, way: str = "") -> str:
    """Ask for a link as a person does; the path that the mail leads to."""
    before = set(mails(server.folder))
    assert server.ask("/sign-in", method="POST", form={"address": who, "next": way}).status == 200
    server.desk.backlog.wait()
    (new,) = set(mails(server.folder)) - before
    letter = email.message_from_bytes(new.read_bytes(), policy=email.policy.default)
    assert letter["To"].addresses[0].addr_spec == who
    text, html = (letter.get_body((kind,)).get_content() for kind in ("plain", "html"))
    (link,) = re.findall(r"https?://\S+/sign-in/\S+", text)
    assert link.replace("&", "&amp;") in html
    assert link.startswith((f"{server.address}/sign-in/", PUBLIC))
    return link.removeprefix(server.address)


def cookie(answer: Answer, name: str = "desk") -> str:
    """The secret that an answer sets."""
    found = re.match(rf"{name}=([^;]*);", answer.headers.get("set-cookie", ""))
    assert found, answer.headers
    return found[1]


def acted(server: Server) -> list[tuple[str, str]]:
    """Who did what since the desk is served."""
    with server.ledger.read() as tx:
        return [(act.who, act.what) for act in journal.acts(tx, NOW, NOW + 24 * HOUR)]


def signed_in(server: Server, secret: str) -> bool:
    """Whether a cookie opens anything."""
    return server.ask("/archive", secret=secret).status == 200


# Links.


def test_a_mailed_link_signs_in_once(server):
    """The link of the mail shows a button and can be looked at often; pressed, it signs in, and a second time not."""
    path = mailed(server, OLGA, "/archive?year=2017")
    for method in ("GET", "HEAD", "GET"):
        assert server.ask(path, method=method).status == 200
    assert "Sign in as <bdi>Olga Orlov</bdi>" in server.ask(path).text
    way = dict(parse_qsl(urlsplit(path).query))["next"]
    got = server.ask(path, method="POST", form={"next": way})
    assert (got.status, got.headers["location"]) == (303, "/archive?year=2017")
    assert re.search(r"; HttpOnly; Max-Age=28800; Path=/; SameSite=lax$", got.headers["set-cookie"])
    assert signed_in(server, cookie(got))
    again = server.ask(path, method="POST", form={})
    assert (again.status, "set-cookie" in again.headers) == (410, False)
    assert server.ask(path).status == 410
    assert acted(server) == [(OLGA, "sign-in link made"), (OLGA, "signed in")]


def test_a_person_signs_in_with_a_browser(server):
    """From the page that they wanted, over the sign-in and the mailed link, back to that page; and out again."""
    with browser.browsing() as chromium, browser.window(chromium, server) as page:
        page.goto("/archive?from=mail")
        page.get_by_label("Your mail address").fill(OLGA)
        page.get_by_role("button", name="Send me a link").click()
        page.get_by_role("heading", name="Look into your mail").wait_for()
        server.desk.backlog.wait()
        newest = max(mails(server.folder), key=lambda path: path.stat().st_mtime_ns)
        text = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default).get_body(("plain",))
        page.goto(re.search(r"http://\S+", text.get_content())[0])
        page.get_by_role("button", name="Sign in as Olga Orlov").click()
        page.get_by_role("button", name="Sign out", exact=True).wait_for()
        assert page.url == f"{server.address}/archive?from=mail"
        assert page.evaluate("document.cookie").startswith("zone=")
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_text("You are signed out.").wait_for()


def test_known_and_unknown_addresses_are_answered_alike(server):
    """Nothing in the answer tells them apart, and what tells them apart is done after it: one mail, one note."""
    answers = [server.ask("/sign-in", method="POST", form={"address": who}) for who in (OLGA, STRANGER)]
    before = len(mails(server.folder))
    server.desk.backlog.wait()
    known, unknown = (
        (each.status, {**each.headers, "date": "", "content-length": ""}, each.text.replace(who, ""))
        for each, who in zip(answers, (OLGA, STRANGER), strict=True)
    )
    assert known == unknown
    assert len(mails(server.folder)) - before in {0, 1}  # it may have been quicker than we
    assert not any(STRANGER.encode() in path.read_bytes() for path in mails(server.folder))
    assert acted(server) == [(OLGA, "sign-in link made"), ("nobody", "sign-in asked with an unknown address")]


def test_a_mail_server_that_is_down_is_told_to_the_log_alone(tmp_path):
    """Whoever asks is answered as ever and waits for nothing; whoever keeps the desk reads why no mail came."""
    folder = desk.copy(tmp_path)
    change(folder / "config" / "settings.yml", "attempts: 1", "mail: {server: 127.0.0.1, port: 9, security: none}")
    with desk.serving(folder) as server:
        got = server.ask("/sign-in", method="POST", form={"address": OLGA})
        server.desk.backlog.wait()
        assert (got.status, "a link is on its way" in got.text, "no mail server" in got.text) == (200, True, False)
        ((event, told),) = server.logged
        assert (event, told["person"], bool(told["error"])) == ("sign-in link not sent", "Olga Orlov", True)


def test_what_is_no_address_comes_back_with_its_error(server):
    """Bad input loses nothing, and stays inert."""
    got = server.ask("/sign-in", method="POST", form={"address": '"><script>alert(1)</script>', "next": "/rota"})
    assert got.status == 422
    assert "Write one address" in got.text
    assert "&lt;script&gt;alert(1)" in got.text
    assert 'value="/rota"' in got.text
    assert "Write your address" in server.ask("/sign-in", method="POST", form={}).text


def test_a_link_is_good_for_a_while_only(server):
    """After the time that desk.link gives it leads to the page with the way to a new one."""
    path = mailed(server, OLGA)
    server.dial.at += 15 * MINUTE - timedelta(seconds=1)
    assert server.ask(path).status == 200
    server.dial.at += timedelta(seconds=1)
    got = server.ask(path, method="POST", form={})
    assert (got.status, "Get a new link" in got.text) == (410, True)


def test_whoever_is_taken_out_of_people_is_out_at_once(tmp_path):
    """Neither a session nor a link of theirs opens anything from the next look at config/ on."""
    with desk.serving(desk.copy(tmp_path)) as server:
        path, secret = mailed(server, OLGA), server.sign_in(OLGA)
        assert signed_in(server, secret)
        change(tmp_path / "config" / "people.yml", "    - {name: Olga Orlov, email: olga@investor.example}\n", "")
        server.desk._looked = -10.0  # as if two seconds had passed
        assert server.ask("/archive", secret=secret).headers["location"].startswith("/sign-in")
        assert server.ask(path).status == 410
        assert server.ask(path, method="POST", form={}).status == 410


@pytest.mark.parametrize(
    ("way", "leads"),
    [
        ("/rota?month=2017-11", "/rota?month=2017-11"),
        ("/runs/a%2Fb", "/runs/a%2Fb"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/ok\\..", "/"),
        ("/\n/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: desk=x", "/"),
        ("/sign-in/again", "/"),
        ("/sign-out", "/"),
        ("/" + "a" * 900, "/"),
        ("/ü", "/"),
    ],
)
def test_the_sign_in_leads_on_to_pages_of_ours_alone(way, leads):
    """No open redirect, whatever a browser would make of it; and no way in a circle."""
    assert own_way(way) == leads


@pytest.mark.parametrize(
    ("who", "way", "leads"),
    [(OLGA, "/rota", "/"), (OLGA, "/archive?report=sales", "/archive?report=sales"), (ANN, "/rota", "/rota")],
)
def test_a_reader_is_not_led_to_what_is_not_there_for_them(server, who, way, leads):
    """A link that was asked for on somebody else's page signs a reader in at their archive, not at "Not found"."""
    got = server.ask(mailed(server, who, way), method="POST", form={"next": way})
    assert (got.status, got.headers["location"]) == (303, leads)


def test_the_way_back_survives_the_sign_in(server):
    """Whoever asks for a page is led to the sign-in, and from the button of the link to that page; never elsewhere."""
    start = server.ask("/rota?month=2018-01").headers["location"]
    assert start == "/sign-in?next=/rota%3Fmonth%3D2018-01"
    assert 'name="next" value="/rota?month=2018-01"' in server.ask(start).text
    got = server.ask(mailed(server, ANN), method="POST", form={"next": "//evil.example"})
    assert got.headers["location"] == "/"


# Limits.


def test_too_many_links_for_one_address(server):
    """The sixth within the hour is refused, known or not, with the same words; one more is free after its share."""
    for who in (OLGA, STRANGER):
        answers = [server.ask("/sign-in", method="POST", form={"address": who}) for _ in range(6)]
        assert [each.status for each in answers] == [200] * 5 + [429]
        assert answers[-1].headers["retry-after"] == "720"
        assert "Try again at" in answers[-1].text
        assert who not in answers[-1].text
    server.dial.at += timedelta(seconds=720)
    assert server.ask("/sign-in", method="POST", form={"address": OLGA}).status == 200


def test_links_are_counted_in_the_ledger_too(server):
    """A desk that was begun anew, or a second one, sends no more than forty within an hour, and says so in its log."""
    with server.ledger.write() as tx:
        for number in range(39):
            book.add_link(tx, f"before-{number}", book.Link(OLGA, NOW, NOW + HOUR))
    for _ in range(2):
        server.ask("/sign-in", method="POST", form={"address": OLGA})
    server.desk.backlog.wait()
    assert acted(server).count((OLGA, "sign-in link made")) == 1
    assert [event for event, _ in server.logged] == ["sign-in link withheld"]


def test_a_stranger_locks_nobody_out(tmp_path):
    """Whoever asks for links in somebody's name, or tries links that are none, uses up their own tries alone."""
    with configured(tmp_path, f'public: "{PUBLIC}", proxies: [127.0.0.1]') as server:
        limits = server.desk.limits
        limits.links, limits.entered, limits.mails = Limit(2, 3600.0), Limit(2, 900.0), Limit(4, 3600.0)

        def sent(path: str, client: str) -> int:
            headers = {"Host": "desk.shop.example", "X-Forwarded-For": client}
            return server.ask(path, method="POST", form={"address": OLGA}, headers=headers).status

        mallory, olga, other = "203.0.113.66", "192.0.2.7", "198.51.100.1"
        assert [sent("/sign-in", mallory) for _ in range(3)] == [200, 200, 429]
        assert [sent("/sign-in", olga) for _ in range(2)] == [200, 200]
        assert sent("/sign-in", other) == 429  # the mailbox has enough of them, and each is good
        good = acts.link_for(server.desk.project, server.ledger, OLGA, NOW).secret
        assert [sent("/sign-in/guess", olga) for _ in range(3)] == [410, 410, 429]
        assert sent(f"/sign-in/{good}", olga) == 303


def test_too_many_tries_of_one_client(server):
    """Both asking and trying are bounded for each client, and another client is not touched by it."""
    server.desk.limits.asked, server.desk.limits.entered = Limit(2, 60.0), Limit(2, 60.0)
    asked = [server.ask("/sign-in", method="POST", form={"address": f"a{n}@b.example"}).status for n in range(3)]
    tried = [server.ask(f"/sign-in/{n}", method="POST", form={}).status for n in range(3)]
    assert (asked, tried) == ([200, 200, 429], [410, 410, 429])
    assert server.desk.limits.asked.wait("127.0.0.2", server.dial.now()) == 0


def test_a_limit_keeps_little_and_forgets_the_oldest():
    """So many at once, then one each share of the time; memory is bounded however many come."""
    limit = Limit(3, 30.0, kept=10)
    assert [limit.wait("a", NOW) for _ in range(4)] == [0, 0, 0, 10.0]
    assert limit.wait("a", NOW + timedelta(seconds=9)) == 1.0
    assert limit.wait("a", NOW + timedelta(seconds=10)) == 0
    assert limit.wait("a", NOW + timedelta(seconds=10)) == 10.0
    assert all(limit.wait(str(number), NOW) == 0 for number in range(1000))
    assert len(limit._full_at) == 10


def test_a_customer_of_ipv6_is_one_client():
    """All addresses of one network count as one, and those of IPv4 are known in either form."""

    def client(host: str) -> str:
        return client_of(Request({"type": "http", "client": (host, 1)}))

    assert client("2001:db8:1:2::1") == client("2001:db8:1:2:ffff::9") != client("2001:db8:1:3::1")
    assert client("::ffff:192.0.2.1") == client("192.0.2.1")
    assert len(client("x" * 900)) == 64


def test_errands_are_few_and_go_on_after_a_failure():
    """One that fails stops nobody, and a flood is dropped."""
    backlog, done = Backlog(), []
    backlog.add(lambda: 1 / 0)
    assert all(backlog.add(lambda number=number: done.append(number)) for number in range(100))
    backlog.wait()
    assert done == list(range(100))


# Sessions and forms.


def test_no_session_is_begun_for_somebody(server):
    """Every sign-in gets a secret of its own: one that was planted is not taken, and that of before is ended."""
    planted = "planted-by-somebody-else"
    got = server.ask(mailed(server, OLGA), method="POST", form={}, secret=planted)
    first = cookie(got)
    assert first != planted
    assert not signed_in(server, planted)
    second = cookie(server.ask(mailed(server, OLGA), method="POST", form={}, secret=first))
    assert (signed_in(server, first), signed_in(server, second)) == (False, True)


def test_signing_out_ends_the_session_itself(server):
    """The secret opens nothing any more, whoever has kept it, and the browser is told to drop it."""
    secret = server.sign_in(OLGA)
    refused = server.ask("/sign-out", method="POST", form={"csrf": ""}, secret=secret)
    assert (refused.status, signed_in(server, secret)) == (403, True)
    got = server.ask("/sign-out", method="POST", form={}, secret=secret)
    assert (got.status, got.headers["location"], cookie(got)) == (303, "/sign-in?out", '""')
    assert not signed_in(server, secret)
    assert "You are signed out" in server.ask("/sign-in?out").text
    assert acted(server) == [(OLGA, "signed out")]


def test_signing_out_everywhere_ends_every_session_of_theirs_and_no_other(server):
    """What was left open elsewhere opens nothing any more; others stay signed in; it is on record."""
    here, elsewhere, other = server.sign_in(OLGA), server.sign_in(OLGA), server.sign_in(ANN)
    got = server.ask("/sign-out", method="POST", form={"everywhere": "1"}, secret=here)
    assert (got.status, cookie(got)) == (303, '""')
    assert [signed_in(server, one) for one in (here, elsewhere, other)] == [False, False, True]
    assert acted(server) == [(OLGA, "signed out everywhere")]


def test_a_session_ends_by_itself(server):
    """After an hour without a page, and after eight hours whatever is done; a page that renews itself counts not."""
    idle, busy, watched = (server.sign_in(OLGA) for _ in range(3))
    for _ in range(16):
        assert signed_in(server, busy)
        server.ask("/archive", secret=watched, headers={"X-Live": "1"})
        server.dial.at += HOUR / 2
    assert [signed_in(server, secret) for secret in (idle, busy, watched)] == [False, False, False]
    late = server.sign_in(OLGA)
    server.dial.at += HOUR - timedelta(seconds=1)
    assert signed_in(server, late)


def test_old_links_and_sessions_are_forgotten(server):
    """With each new link the ledger drops what ended more than a day ago."""
    old = server.sign_in(OLGA)
    server.dial.at += 33 * HOUR
    young = server.sign_in(OLGA)
    acts.link_for(server.desk.project, server.ledger, "ann", server.dial.now())
    with server.ledger.read() as tx:
        assert (book.session(tx, old), book.session(tx, young) is not None) == (None, True)


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_other_site_signs_anybody_in_or_out(server, headers):
    """Forms before the sign-in carry no secret: by where they come from they are refused, and a link stays good."""
    path, secret = mailed(server, OLGA), server.sign_in(ANN)
    assert server.ask(path, method="POST", form={}, headers=headers).status == 403
    assert server.ask("/sign-in", method="POST", form={"address": BOB}, headers=headers).status == 403
    assert server.ask("/sign-out", method="POST", form={}, secret=secret, headers=headers).status == 403
    own = {"Origin": server.address, "Sec-Fetch-Site": "same-origin"}
    assert server.ask(path, method="POST", form={}, headers=own).status == 303
    server.desk.backlog.wait()
    assert (BOB, "sign-in link made") not in acted(server)


def test_a_form_of_another_session_is_refused(server):
    """What one's own pages carry is good for nobody else."""
    ours, theirs = server.sign_in(ANN), server.sign_in(BOB)
    form = {"csrf": session.csrf_of(theirs)}
    assert server.ask("/sign-out", method="POST", form=form, secret=ours).status == 403


# Names, proxies, encryption.


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1", "localhost.evil.example:{port}",
             "127.0.0.1:{port}@evil.example", "a b", "", "[::1", "127.0.0.1:{port}/x", "shop.example"]
)  # fmt: skip
def test_a_foreign_name_is_not_answered(sturdy, host):
    """A page whose name was led to this machine (DNS rebinding) reads nothing, signed in or not, from any path."""
    server = sturdy
    secret, headers = server.sign_in(ANN), {"Host": host.format(port=server.port)}
    for path in ("/", "/sign-in", "/static/desk.css", "/nothing", "/api/runs"):
        got = server.ask(path, secret=secret, headers=headers)
        assert (got.status in {400, 421}, "Corner" in got.text) == (True, False), (path, got.status)
    assert server.ask("/sign-in", method="POST", form={"address": ANN}, headers=headers).status in {400, 421}


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "127.0.0.1:{port}"])
def test_names_of_this_machine_are_answered(sturdy, host):
    """Each name under which a browser here can reach it."""
    assert sturdy.ask("/sign-in", headers={"Host": host.format(port=sturdy.port)}).status == 200


def test_what_a_stranger_says_of_a_proxy_is_not_believed(server):
    """Without a proxy in config nobody can say to be another client, or that the connection is encrypted."""
    server.desk.limits.asked = Limit(1, 60.0)
    answers = [
        server.ask(
            "/sign-in",
            method="POST",
            form={"address": f"a{number}@b.example"},
            headers={"X-Forwarded-For": f"192.0.2.{number}", "X-Forwarded-Proto": "https"},
        )
        for number in range(2)
    ]
    assert [each.status for each in answers] == [200, 429]
    assert "strict-transport-security" not in answers[0].headers


@pytest.fixture(scope="module")
def proxied(tmp_path_factory) -> Iterator[Server]:
    more = f'public: "{PUBLIC}/reports/", proxies: [127.0.0.1]'
    with configured(tmp_path_factory.mktemp("proxied"), more) as made:
        yield made


#: What a proxy may make of the name, and of the path.
NAMES = {
    "the name is passed on": {"Host": "desk.shop.example", "X-Forwarded-For": "192.0.2.7"},
    "the name is ours": {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"},
}


@pytest.mark.parametrize("root", ["/reports", ""], ids=["the path is passed on", "the path is cut"])
@pytest.mark.parametrize("headers", NAMES.values(), ids=NAMES)
def test_it_works_behind_a_proxy(proxied, headers, root):
    """Signed in from the mailed link, by https alone; every way leads below the public path; other sites are out."""
    proxied.desk.limits.links = Limit(50, 60.0)
    link = mailed(proxied, OLGA)
    assert link.startswith(f"{PUBLIC}/reports/sign-in/")
    path = f"{root}{link.removeprefix(f'{PUBLIC}/reports')}"
    own = {**headers, "Origin": PUBLIC, "Sec-Fetch-Site": "same-origin"}
    assert proxied.ask(path, method="POST", form={}, headers={**own, "Origin": "https://shop.example"}).status == 403
    got = proxied.ask(path, method="POST", form={}, headers=own)
    assert (got.status, got.headers["location"]) == (303, "/reports/")
    assert re.search(r"^__Host-desk=[^;]{43}; HttpOnly; Max-Age=\d+; Path=/; SameSite=lax; Secure$",
                     got.headers["set-cookie"])  # fmt: skip
    assert got.headers["strict-transport-security"] == "max-age=31536000"
    secret = cookie(got, "__Host-desk")
    page = proxied.ask(f"{root}/archive", headers={**headers, "Cookie": f"__Host-desk={secret}"})
    assert (page.status, 'action="/reports/sign-out"' in page.text) == (200, True)
    style = re.search(r'href="(/reports/static/desk.css[^"]*)"', page.text)
    assert style
    assert proxied.ask(style[1], headers=headers).status == 200
    plain = proxied.ask(f"{root}/archive", headers={**headers, "Cookie": f"desk={secret}"})
    assert plain.headers["location"].startswith("/reports/sign-in?next=/archive")


def test_the_client_is_the_one_behind_the_proxy(proxied):
    """Limits count whoever the proxy names, and what the client put there before it counts nothing."""
    proxied.desk.limits.entered = Limit(1, 60.0)
    chains = ("203.0.113.5", "1.1.1.1, 203.0.113.5", "203.0.113.6")
    statuses = [
        proxied.ask("/sign-in/x", method="POST", form={}, headers={"X-Forwarded-For": chain}).status for chain in chains
    ]
    assert statuses == [410, 429, 410]


# Requests that are none.


def raw(server: Server, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """A request as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=desk.PATIENCE)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {**({"Content-Length": str(len(body))} if body else {}), **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body or None)
        got = connection.getresponse()
        headers = {name.lower(): " ".join(got.headers.get_all(name, ())) for name in got.headers}
        return Answer(got.status, headers, got.read())
    finally:
        connection.close()


FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
BROKEN = {
    "too many fields": (b"&".join(b"a%d=1" % n for n in range(1001)), FORM, 400),
    "too large": (b"address=" + b"a" * 300_000, FORM, 413),
    "json": (b'{"address": "ann@shop.example"}', "application/json", 415),
    "no type": (b"address=ann@shop.example", "", 415),
    "nonsense for a type": (b"address=ann@shop.example", ";;;=,", 415),
    "a file": (b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--x--\r\n', MULTIPART, 415),
    "no letters": (b"address=%ff%fe%00&%00=\xff\xfe", FORM, 422),
    "half an escape": (b"address=%&%zz=%u1", FORM, 422),
    "nothing": (b"", FORM, 422),
    "one thousand fields": (b"&".join(b"a%d=1" % n for n in range(1000)), FORM, 422),
}


@pytest.fixture(scope="module")
def sturdy(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path_factory.mktemp("sturdy"))) as made:
        yield made
        assert [event for event in made.logged if event[0] == "page failed"] == []


@pytest.mark.parametrize(("body", "kind", "status"), BROKEN.values(), ids=BROKEN)
def test_a_broken_form_is_a_plain_no(sturdy, body, kind, status):
    """Whatever is sent, the answer is one of ours, with its headers, and no fault of the desk."""
    got = raw(sturdy, "POST", "/sign-in", body, **({"Content_Type": kind} if kind else {}))
    assert (got.status, "Traceback" in got.text) == (status, False)
    assert got.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "headers", "statuses"),
    [
        ("GET", "/" + "a" * 9000, {}, {414}),
        ("GET", "/?" + "a" * 9000, {}, {414}),
        ("GET", "/sign-in/" + "a" * 7000, {}, {410}),
        ("GET", "/", {"X_Long": "a" * 40_000}, {431, 400}),
        ("GET", "/", {"Cookie": "desk=" + "a" * 30_000}, {303}),
        ("GET", "/", {"Cookie": "desk=a; desk=b; desk=; =x; ;;; \xe9=\xff; zone=../../etc/passwd"}, {303}),
        ("GET", "/%00", {}, {400}),
        ("GET", "/?next=%00", {}, {400}),
        ("GET", "/%ff%fe/..%2f..%2fetc%2fpasswd", {}, {303}),
        ("GET", "//evil.example/%2e%2e", {}, {303}),
        ("GET", "/static/..%2fbase.html.j2", {}, {303}),
        ("GET", "/static/base.html.j2", {}, {404}),
        ("POST", "/static/desk.css", {}, {303}),
        ("TRACE", "/", {}, {405}),
        ("NONSENSE", "/sign-in", {}, {405}),
        ("PUT", "/sign-in", {}, {303}),
        ("DELETE", "/sign-in/x", {}, {303}),
        ("POST", "/sign-in", {"Content_Length": "0"}, {422}),
        ("GET", "/sign-in", {"Range": "bytes=0-1", "If_None_Match": "*", "Accept_Language": "\xff"}, {200}),
    ],
)
def test_a_strange_request_is_no_fault_of_ours(sturdy, method, path, headers, statuses):
    """Long, hostile and unknown things are answered, never by a fault of the desk."""
    got = raw(sturdy, method, path, **headers)
    assert got.status in statuses, (got.status, got.text[:300])
    assert (urlsplit(got.headers.get("location", "")).netloc, "Traceback" in got.text) == ("", False)


def test_two_cookies_of_one_name_open_what_either_does_not_forbid(sturdy):
    """A second session cookie beside the good one lets nobody else in: it is the good one or none."""
    good = sturdy.sign_in(OLGA)
    for cookies in (f"desk={good}; desk=planted", f"desk=planted; desk={good}"):
        got = raw(sturdy, "GET", "/archive", Cookie=cookies)
        assert (got.status, "Ann Archer" in got.text) in {(200, False), (303, False)}


@pytest.mark.parametrize("path", ["/sign-in", "/", "/static/desk.css", "/nothing"])
def test_what_every_answer_says(sturdy, path):
    """The policy for browsers, no word of what serves it; pages are kept nowhere, files for good; HEAD has no body."""
    got, head = sturdy.ask(path, ANN), sturdy.ask(path, ANN, "HEAD")
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert got.headers["x-frame-options"] == "DENY"
    assert got.headers["referrer-policy"] == "same-origin"
    assert "server" not in got.headers
    assert "strict-transport-security" not in got.headers
    kept = "public, max-age=31536000, immutable" if path.startswith("/static/") else "no-store"
    assert got.headers["cache-control"] == kept
    assert (head.status, head.body) == (got.status, b"")


# Company accounts.


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Iterator[tuple[Server, Provider]]:
    with company_account.providing(NOW) as provider:
        more = f'open_id: {{issuer: "{provider.issuer}", client: desk, secret: env:DESK_SECRET}}'
        given = {"environment": {"DESK_SECRET": company_account.SECRET}}
        with configured(tmp_path_factory.mktemp("company"), more, **given) as server:
            yield server, provider


@pytest.fixture
def account(company) -> tuple[Server, Provider]:
    """A desk with a provider that tells the truth, and has not been asked yet."""
    server, provider = company
    fresh = Provider(NOW, provider.port)
    vars(provider).update(vars(fresh))
    vars(server.desk).pop("provider", None)
    server.desk.limits.entered = Limit(40, 900.0)
    server.logged.clear()
    return server, provider


def begin(server: Server, way: str = "/rota") -> tuple[str, str]:
    """On to the provider and back: the cookie of the sign-in under way, and the path that the browser comes back by."""
    got = server.ask(f"/sign-in/company?{urlencode({'next': way})}")
    assert got.status == 303, got.text
    place = urlsplit(got.headers["location"])
    connection = http.client.HTTPConnection(place.netloc, timeout=desk.PATIENCE)
    connection.request("GET", f"{place.path}?{place.query}")
    there = connection.getresponse().headers["Location"]
    connection.close()
    return cookie(got, "desk-sign-in"), there.removeprefix(server.address)


def finish(server: Server, kept: str, path: str) -> Answer:
    """Back at the desk."""
    return raw(server, "GET", path, Cookie=f"desk-sign-in={kept}")


def test_a_company_account_signs_in(account):
    """The verified address is somebody of people.yml: they are in, led on to where they wanted to go, and on record."""
    server, provider = account
    assert "Sign in with the company account" in server.ask("/sign-in?next=/rota").text
    kept, path = begin(server)
    got = finish(server, kept, path)
    assert (got.status, got.headers["location"]) == (303, "/rota")
    with server.ledger.read() as tx:
        found = book.session(tx, re.search(r"\bdesk=([\w-]{43});", got.headers["set-cookie"])[1])
    assert (found.who, found.how) == (ANN, "open id")
    assert ("ann", "signed in") in acted(server)
    assert provider.calls == ["/.well-known/openid-configuration", "/keys", "/authorization", "/token"]
    assert finish(server, kept, path).status == 502  # the code is used up


@pytest.mark.parametrize(
    ("lies", "status"),
    [
        ({"lies": {"nonce": "another"}}, 502),
        ({"lies": {"nonce": None}}, 502),
        ({"lies": {"aud": "another"}}, 502),
        ({"lies": {"aud": ["desk", "another"]}}, 502),
        ({"lies": {"iss": "http://evil.example"}}, 502),
        ({"lies": {"exp": int(NOW.timestamp()) - 600}}, 502),
        ({"lies": {"exp": None}}, 502),
        ({"lies": {"exp": "soon"}}, 502),
        ({"lies": {"iat": int(NOW.timestamp()) + 3600}}, 502),
        ({"signed": "another"}, 502),
        ({"algorithm": "none"}, 502),
        ({"algorithm": "HS256"}, 502),
        ({"algorithm": "RS256"}, 502),
        ({"who": {"email": ANN, "email_verified": False}}, 403),
        ({"who": {"email": ANN, "email_verified": "false"}}, 403),
        ({"who": {"email": ANN}}, 403),
        ({"who": {"email_verified": True}}, 502),
        ({"who": {"email": ["x"], "email_verified": True}}, 502),
        ({"who": {"email": STRANGER, "email_verified": True}}, 403),
        ({"broken": {"/token": 500}}, 502),
    ],
    ids=str,
)
def test_an_answer_that_proves_nothing_lets_nobody_in(account, lies, status):
    """Each lie of a provider, or of somebody in its place, ends at a page of ours with the way back to the sign-in."""
    server, provider = account
    vars(provider).update(lies)
    got = finish(server, *begin(server))
    assert got.status == status, got.text
    assert "Back to the sign-in" in got.text
    assert got.headers["set-cookie"].startswith('desk-sign-in=""')
    assert "desk=" not in got.headers["set-cookie"]
    assert server.logged[-1][0] == "company account refused"
    assert company_account.SECRET not in str(server.logged)


def test_a_sign_in_with_the_company_account_is_of_one_browser(account):
    """Another state, another browser's cookie, or none: nobody is signed in as somebody else (login CSRF)."""
    server, _ = account
    mine, path = begin(server)
    theirs, _ = begin(server)
    for kept, way in ((theirs, path), ("", path), ("x", path), (mine, re.sub("state=[^&]*", "state=x", path)),
                      (mine, re.sub("state=[^&]*&?", "", path))):  # fmt: skip
        assert finish(server, kept, way).status == 400
    assert finish(server, mine, path.replace("iss=", "iss=x")).status == 502
    assert finish(server, mine, f"/sign-in/company/back?error=access_denied&{path.partition('?')[2]}").status == 403
    assert finish(server, mine, path).status == 303


def test_a_provider_that_is_down_or_off_is_said_so(account):
    """Not there, out of order, or another than config says: a page, the way by mail, and the reason in the log."""
    server, provider = account
    for state in ({"broken": {"/.well-known/openid-configuration": 503}}, {"calls_itself": {"issuer": "https://x.example"}},
                  {"calls_itself": {"authorization_endpoint": "http://evil.example/"}},
                  {"calls_itself": {"jwks_uri": "file:///etc/passwd"}}):  # fmt: skip
        vars(provider).update(vars(Provider(NOW, provider.port)) | state)
        got = server.ask("/sign-in/company")
        assert (got.status, "Back to the sign-in" in got.text) == (502, True), state
        assert server.logged[-1][1]["reason"]


def test_nobody_is_at_the_address_of_the_provider(tmp_path):
    """A provider that is gone is a page, too, within the time that it is given."""
    more = 'open_id: {issuer: "http://127.0.0.1:9", client: desk, secret: env:DESK_SECRET}'
    with configured(tmp_path, more, environment={"DESK_SECRET": "x"}) as server:
        got = server.ask("/sign-in/company")
        assert (got.status, "does not answer" in got.text) == (502, True)


def test_a_new_key_of_the_provider_is_found(account):
    """Providers exchange their keys: one that is not known yet is asked for."""
    server, provider = account
    assert finish(server, *begin(server)).status == 303
    provider.signed, provider.published = "second", ["second"]
    server.dial.at += 2 * MINUTE
    try:
        assert finish(server, *begin(server)).status == 303
    finally:
        server.dial.at = NOW


# Tokens.


def asked(secret: str, *more: str) -> Request:
    """A request with a token."""
    headers = [(b"authorization", each.encode()) for each in (f"Bearer {secret}", *more)]
    return Request({"type": "http", "headers": headers, "client": ("192.0.2.1", 1)})


def made(server: Server, *scopes: str, lasts: timedelta | None = None, name: str = "grafana") -> acts.Pass:
    """A token of ann's."""
    return acts.make_token(server.desk.project, server.ledger, Order(name, scopes, "ann", lasts), server.dial.now())


def refused(server: Server, request: Request, scope: str = "read") -> tuple[int, str, Mapping[str, str]]:
    """The status, the words and the headers with which a request is refused."""
    with pytest.raises(Refused) as caught:
        bearer(request, scope, server.desk, server.dial.now())
    return caught.value.status, caught.value.said, caught.value.headers


def test_a_token_opens_what_it_is_for(server):
    """Its scopes and no more; when it was used is noted; its secret stands nowhere in the ledger."""
    token = made(server, "read", "metrics")
    found = bearer(asked(token.secret), "metrics", server.desk, server.dial.now())
    assert (found.name, found.scopes, found.who) == ("grafana", ("read", "metrics"), "ann")
    status, _, headers = refused(server, asked(token.secret), "arrivals")
    assert (status, "insufficient_scope" in headers["WWW-Authenticate"]) == (403, True)
    with server.ledger.read() as tx:
        assert book.tokens(tx)[0].used_at == NOW
    assert token.secret.encode() not in (server.folder / "reports" / "ledger.sqlite").read_bytes()
    assert token.secret not in repr(token)


def test_whatever_is_no_good_token_is_refused_alike(server):
    """None, unknown, revoked, over, of another kind, or two at once: one answer."""
    over, gone, good = (made(server, "read", name=name, lasts=HOUR) for name in ("over", "gone", "good"))
    acts.revoke_token(server.desk.project, server.ledger, gone.token.id, "bob", NOW)
    server.dial.at += HOUR - timedelta(seconds=1)
    bearer(asked(good.secret), "read", server.desk, server.dial.now())
    server.dial.at += timedelta(seconds=1)
    kinds = [asked(over.secret), asked(gone.secret), asked("x"), asked(""), asked("x" * 100_000),
             Request({"type": "http", "headers": [], "client": None}),
             asked(made(server, "read", name="two").secret, "Bearer x")]  # fmt: skip
    answers = [refused(server, request) for request in kinds]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401
    assert answers[0][2]["WWW-Authenticate"].startswith("Bearer")


def test_machines_that_ask_too_often_wait(server):
    """Each token has its own limit, and whoever guesses is told to wait."""
    first, second = made(server, "read"), made(server, "read", name="second")
    server.desk.limits.tokens, server.desk.limits.guesses = Limit(2, 60.0), Limit(3, 60.0)
    for _ in range(2):
        bearer(asked(first.secret), "read", server.desk, NOW)
    status, _, headers = refused(server, asked(first.secret))
    assert (status, headers["Retry-After"]) == (429, "30")
    bearer(asked(second.secret), "read", server.desk, NOW)
    assert [refused(server, asked("guess"))[0] for _ in range(4)] == [401, 401, 401, 429]


def test_a_machine_that_guesses_shuts_out_nobody_behind_the_same_address(server):
    """Many machines may have one address: what is refused for want of a good token costs a good one nothing.

    Until now every token from there was refused for as long as one wrong client went on.
    """
    token, server.desk.limits.guesses = made(server, "read"), Limit(3, 60.0)
    assert [refused(server, asked("guess"))[0] for _ in range(5)] == [401, 401, 401, 429, 429]
    assert bearer(asked(token.secret), "read", server.desk, NOW).name == "grafana"
    assert refused(server, asked("guess"))[0] == 429


def test_a_calendar_goes_with_its_engineer(tmp_path):
    """The token of a calendar opens nothing once its engineer is no more in people.yml."""
    with desk.serving(desk.copy(tmp_path)) as server:
        with server.ledger.write() as tx:
            book.add_token(tx, "secret", book.Token("eve", ("calendar:eve",), "eve", NOW))
        claim = Claim("192.0.2.1", "secret", "calendar:eve")
        assert let_in(claim, server.desk, NOW).name == "eve"
        with pytest.raises(Refused):
            let_in(replace(claim, scope="read"), server.desk, NOW)
        change(tmp_path / "config" / "people.yml", "  eve: {name: Eve Ellis, email: eve@shop.example}\n", "")
        server.desk._looked = -10.0
        with pytest.raises(Refused):
            let_in(claim, server.desk, NOW)


def test_everybodys_calendar_goes_with_whoever_made_its_address(tmp_path):
    """It opens nothing once they have left, by its address or as a token: others have addresses of their own."""
    with desk.serving(desk.copy(tmp_path)) as server:
        with server.ledger.write() as tx:
            for who in ("ann", "eve"):
                book.add_token(tx, f"of-{who}", book.Token(who, ("calendar:everybody",), who, NOW))
        claims = [Claim("192.0.2.1", f"of-{who}", "calendar:everybody") for who in ("ann", "eve")]
        assert [let_in(claim, server.desk, NOW).who for claim in claims] == ["ann", "eve"]
        change(tmp_path / "config" / "people.yml", "  eve: {name: Eve Ellis, email: eve@shop.example}\n", "")
        server.desk._looked = -10.0
        assert let_in(claims[0], server.desk, NOW).who == "ann"
        with pytest.raises(Refused):
            let_in(claims[1], server.desk, NOW)
        assert [server.ask(f"/calendars/of-{who}.ics").status for who in ("ann", "eve")] == [200, 404]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order("x", ("metric",), "ann"), "There is no scope 'metric'. Did you mean 'metrics'?"),
        (Order("x", (), "ann"), "What is the token for?"),
        (Order("", ("read",), "ann"), "A token has a name"),
        (Order("x" * 65, ("read",), "ann"), "A token has a name"),
        (Order("x", ("calendar:ann",), "ann"), "There is no scope"),
        (Order("x", ("read",), "an"), "No engineer is called 'an'"),
        (Order("x", ("read",), "ann", timedelta(days=9999)), "A token ends within ten years"),
        (Order("grafana", ("read",), "ann"), "There is a token 'grafana' already"),
    ],
)
def test_a_token_that_must_not_be_is_not_made(sturdy, order, said):
    """Each mistake is told in a sentence, and nothing is written."""
    with sturdy.ledger.read() as tx:
        before = len(book.tokens(tx))
    if not before:
        made(sturdy, "read")
        before = 1
    with pytest.raises(UsageError, match=re.escape(said)):
        acts.make_token(sturdy.desk.project, sturdy.ledger, order, NOW)
    with sturdy.ledger.read() as tx:
        assert len(book.tokens(tx)) == before


# On the command line.


def test_tokens_on_the_command_line(server, capsys):
    """Made and shown once, listed without the secret, revoked; each on record under whoever did it."""
    project = server.desk.project
    commands.add(project, Order("loader", ("arrivals",), "ann", timedelta(days=90)), NOW, as_json=False)
    secret = capsys.readouterr().out.splitlines()[0]
    assert bearer(asked(secret), "arrivals", server.desk, NOW).name == "loader"
    commands.listing(project, NOW, as_json=False)
    shown = capsys.readouterr().out
    assert ("loader" in shown, "arrivals" in shown, secret in shown) == (True, True, False)
    commands.revoke(project, commands.Revocation(1, "bob"), NOW, as_json=False)
    assert refused(server, asked(secret), "arrivals")[0] == 401
    assert acted(server) == [("ann", "token made"), ("bob", "token revoked")]
    for number in (1, 2):
        with pytest.raises(UsageError):
            commands.revoke(project, commands.Revocation(number, "bob"), NOW, as_json=False)


def test_a_link_from_the_shell_signs_in(server):
    """`runner signin WHO` prints a link to the desk that is at work; nothing is mailed."""
    change(server.folder / "config" / "settings.yml", "port: 0", f"port: {server.port}")
    code, out, _ = runner(server.folder, "signin", "ann", "--now", "2017-11-14T10:40")
    link = out.splitlines()[0]
    assert (code, link.startswith(f"{server.address}/sign-in/")) == (0, True)
    assert len(mails(server.folder)) == len(mails(desk.base()))
    assert "Ann Archer" in out
    got = server.ask(link.removeprefix(server.address), method="POST", form={})
    assert signed_in(server, cookie(got))
    code, _, err = runner(server.folder, "signin", "olga@investor.exampel")
    assert (code, "Did you mean 'olga@investor.example'?" in err) == (2, True)


# Config.


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("address: 0.0.0.0", "other machines reach 0.0.0.0, and there is no `public`. Put a proxy"),
        ("address: 192.168.0.4", "set address: 127.0.0.1"),
        ("address: 0.0.0.0, public: http://127.0.0.1", "public is not https"),
        ("public: http://desk.example.com", "public must begin with https://"),
        ("public: https://desk.example.com?x=1", "public is a host and perhaps a path"),
        ("public: 'https://desk.example.com:x'", "public is a host and perhaps a path"),
        ("open_id: {issuer: 'http://login.example.com', client: x, secret: env:X}", "issuer must be reached by https"),
    ],
)
def test_a_desk_that_others_could_listen_to_is_refused(tmp_path, more, said):
    """What would go over the network open is a mistake of config, told with its remedy."""
    change(desk.copy(tmp_path) / "config" / "settings.yml", "desk: {port: 0,", f"desk: {{port: 0, {more},")
    with pytest.raises(ConfigError, match=re.escape(said)):
        config.load(tmp_path)


def test_where_people_reach_the_desk():
    """The public address, or this machine's, without a slash at the end."""
    assert Settings(public="https://desk.example.com/x/", address="0.0.0.0").own == "https://desk.example.com/x"
    assert Settings().own == "http://127.0.0.1:8420"
    assert Settings(address="::1").own == "http://[::1]:8420"
