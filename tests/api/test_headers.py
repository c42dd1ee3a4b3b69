"""Security headers of every answer, and pages of other origins that may call."""

from __future__ import annotations

import re
from http.client import HTTPResponse

import httpx
import pytest

from jobserver.api.framework.origin import check_origins
from jobserver.errors import SettingsError
from jobserver.home.settings import Settings
from tests.api.conftest import LOCAL, PAGE
from tests.api.test_http import connect
from tests.support.contract import check_headers
from tests.support.members import Member, Members
from tests.support.server import Server

ALLOW = "Access-Control-Allow-Origin"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/info", 200),
        ("HEAD", "/info", 200),
        ("OPTIONS", "/job/x", 200),
        ("GET", "/jobs", 200),
        ("GET", "/nothing", 404),
        ("PATCH", "/info", 405),
        ("GET", "/job/none", 404),
        ("GET", "/datafile/timeseries.csv?format=html", 200),
        ("GET", "/datafile/timeseries.csv?format=csv", 200),
        ("GET", "/openapi.json", 200),
        ("DELETE", "/jobs", 200),
    ],
)
def test_every_answer_has_them(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    check_headers(answer)
    for name in ("X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy"):
        assert len(answer.headers.get_list(name)) == 1
    assert [name for name in answer.headers if name.startswith("access-control-")] == []
    assert "Strict-Transport-Security" not in answer.headers


def test_what_cannot_be_read_is_answered_with_them(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        with HTTPResponse(sock) as answer:
            answer.begin()
            assert answer.status == 400
            check_headers(httpx.Response(400, headers=answer.getheaders()))


def test_no_cache_shows_somebody_elses_answer(members: Members, alice: Member) -> None:
    job = f"/job/{alice.client.put('/job', json={'script_name': 'noop'}).json()['_id']}"
    for path in (job, "/jobs", f"{job}/log", f"{job}/result", f"{job}/events", "/ui/jobs"):
        for client in (alice.client, members.client()):
            with client.stream("GET", path) as answer:
                caching = answer.headers["Cache-Control"].split(", ")
                assert "private" in caching
                assert {"no-cache", "no-store"} & {*caching}
                vary = answer.headers["Vary"].split(", ")
                assert {"Authorization", "Cookie"} <= {*vary}
                assert len(vary) == len({*vary})
    page = members.client().get("/ui/login", headers={"Accept": "text/html"}).text
    style = members.client().get(page.partition('href="')[2].partition('"')[0])
    assert "public" in style.headers["Cache-Control"]
    assert "Cookie" not in style.headers.get("Vary", "")


def test_without_login_no_cache_shows_an_older_answer(client: httpx.Client) -> None:
    for path in ("/jobs", "/nothing", "/ui/jobs"):
        assert "no-cache" in client.get(path).headers["Cache-Control"]


def test_streams_have_them(client: httpx.Client) -> None:
    job_id = client.put("/job", json={"script_name": "noop"}).json()["_id"]
    with client.stream("GET", f"/job/{job_id}/events") as answer:
        check_headers(answer)


def preflight(server: Server, origin: str, path: str = "/job/x/run", **more: str) -> httpx.Response:
    asked = {"Access-Control-Request-Method": "POST", **more}
    return server.client.options(path, headers={"Origin": origin, **asked})


@pytest.mark.parametrize("origin", [PAGE, LOCAL])
def test_listed_pages_may_call(public_server: Server, origin: str) -> None:
    more = {"Access-Control-Request-Headers": "authorization,content-type"}
    asked = preflight(public_server, origin, **more)
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers[ALLOW] == origin
    assert {"POST", "PUT", "GET"} <= {*asked.headers["Access-Control-Allow-Methods"].split(", ")}
    allowed = asked.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type"} <= {*allowed}
    assert int(asked.headers["Access-Control-Max-Age"]) > 0
    for status, answer in (
        (201, public_server.client.put("/job", json={}, headers={"Origin": origin})),
        (404, public_server.client.get("/job/none", headers={"Origin": origin})),
        (404, public_server.client.get("/nothing", headers={"Origin": origin})),
        (415, public_server.client.put("/job", content=b"{}", headers={"Origin": origin})),
    ):
        assert answer.status_code == status
        assert answer.headers[ALLOW] == origin
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    for each in (asked, answer):
        assert "Origin" in each.headers["Vary"].split(", ")
        assert "Access-Control-Allow-Credentials" not in each.headers
    assert preflight(public_server, origin, "/nothing").status_code == 204


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "", "*", f"{PAGE}.evil.example", f"{PAGE}:8443"),
        *(PAGE.upper(), f"{PAGE}/", "http://page.example", "https://a.page.example", f"{PAGE},x"),
        *(f"{PAGE}, https://evil.example", "http://localhost:8081", "https://jobs.example"),
    ],
)
def test_others_may_not(public_server: Server, origin: str) -> None:
    for answer in (
        preflight(public_server, origin),
        public_server.client.get("/info", headers={"Origin": origin}),
    ):
        assert [name for name in answer.headers if name.startswith("access-control-")] == []
        assert "Origin" in answer.headers["Vary"].split(", ")
        assert answer.status_code in {200, 403}


def test_without_an_origin_there_are_no_cors_headers(public_server: Server) -> None:
    answer = public_server.client.get("/info")
    assert ALLOW not in answer.headers
    assert "Origin" in answer.headers["Vary"].split(", ")
    assert public_server.client.options("/info").status_code == 200


def test_the_host_is_looked_at_first(public_server: Server) -> None:
    headers = {"Origin": PAGE, "Host": "evil.example", "Access-Control-Request-Method": "GET"}
    assert public_server.client.options("/info", headers=headers).status_code == 403


def test_behind_https_browsers_stay_with_it(public_server: Server) -> None:
    answer = public_server.client.get("/info")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("origin", [PAGE, LOCAL, "http://[::1]:5000", "https://a-b.c.example:444"])
def test_origins(origin: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    check_origins(Settings(home=tmp_path_factory.getbasetemp(), CORS_ORIGINS=(origin,)))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*",
            "null",
            "page.example",
            "https://page.example/",
            "https://page.example/x",
            "https://",
        ),
        *("https://page.example:443", "HTTPS://page.example", "https://*.page.example", "ftp://a"),
        *("https://a@page.example", "https://page.example?x", "https://page.example:x", "http://["),
        *("https://Page.example", "https://ä.example", "file://"),
    ],
)
def test_invalid_origins(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.getbasetemp(), CORS_ORIGINS=(text,))
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        check_origins(settings)


def test_advice_for_programs_is_left_out_on_request(client: httpx.Client) -> None:
    client.put("/job/advised", json={"script_name": "summary", "datafile": "none.csv"})
    requests: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/job/none", {}),
        ("POST", "/job/advised/run", {}),
        ("GET", "/datafile/odd.csv", {"format": "json"}),
    ]
    client.put("/datafile/odd.csv", content=b"a,b\n1,2\n3,4,5\n6,7\n")
    for method, path, query in requests:
        full = client.request(method, path, params=query)
        preference = {"Prefer": "wait=0, advice=none"}
        short = client.request(method, path, params=query, headers=preference)
        assert short.status_code == full.status_code >= 400
        message = short.json()["message"]
        assert len(message) < len(full.json()["message"])
        assert re.search("GET /|POST", full.json()["message"])
        assert not re.search("GET /|POST", message)
