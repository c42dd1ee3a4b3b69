from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from jobserver.api.framework.headers import DATA_POLICY, DOCUMENT_POLICY
from tests.support.server import Server, is_open_below, run_through, until

CSV = b"date,value\n2018-09-05,1.5\n2018-09-06,\n"


def upload(
    client: httpx.Client, name: str, content: bytes = CSV, method: str = "PUT", **options: Any
) -> httpx.Response:
    """Send a file as the guide does, as the field ``file`` of a form."""
    form = {"file": ("local", content)}
    return client.request(method, f"/datafile/{name}", files=form, **options)


def files(client: httpx.Client) -> list[str]:
    """Names of all data files."""
    listed = client.get("/datafiles").json()
    assert listed["found"] == len(listed["files"])
    return [file["name"] for file in listed["files"]]


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_upload(server: Server, method: str) -> None:
    client = server.client
    answer = upload(client, "new.csv", method=method)
    assert answer.status_code == 201
    message = answer.json()["message"]
    expected = {"name": "new.csv", "path": "data/new.csv", "status": 201, "message": message}
    assert answer.json() == expected
    assert answer.headers["Location"] == "/datafile/new.csv"
    assert (server.data / "new.csv").read_bytes() == CSV
    assert client.get("/datafile/new.csv").json() == {
        "name": "new.csv",
        "path": "data/new.csv",
        "size": f"{len(CSV)} B",
    }


def test_the_shipped_file(client: httpx.Client) -> None:
    shipped = {"name": "timeseries.csv", "path": "data/timeseries.csv"}
    info = client.get("/datafile/timeseries.csv").json()
    assert info == shipped | {"size": info["size"]}
    assert info["size"].endswith(" KB")
    assert client.get("/datafiles").json() == {"found": 1, "files": [{"type": "datafile", **info}]}


@pytest.mark.parametrize(
    "name",
    [
        *("a b.csv", "_x.CSV", "a.b-c_d.json", "0.txt", "a" * 96 + ".csv", "A.csv", "a..csv"),
        *("ä.csv", "Größe.csv", "水位.csv", "уровень 2020.csv", "नदी.csv", "٣.csv"),
    ],
)
def test_good_names(server: Server, name: str) -> None:
    answer = upload(server.client, name)
    assert answer.status_code == 201
    assert (server.data / name).is_file()
    assert server.client.get(answer.headers["Location"]).json()["name"] == name
    assert name in files(server.client)
    assert server.client.delete(f"/datafile/{name}").status_code == 200
    assert not (server.data / name).exists()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("data%2Fa.csv", "a.csv"),
        ("Gro\u0308\u00dfe.csv", "Gr\u00f6\u00dfe.csv"),
        ("C:/x/a.csv", "a.csv"),
    ],
)
def test_the_name_that_was_meant_is_named(client: httpx.Client, name: str, meant: str) -> None:
    answer = upload(client, name)
    assert answer.status_code == 400
    assert answer.json()["message"].endswith(f"Did you mean {meant}?")


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("kind", [None, "text/csv", "x", "application/x-www-form-urlencoded"])
def test_the_body_itself_is_a_file(server: Server, method: str, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = server.client.request(method, "/datafile/a.csv", content=CSV, headers=headers)
    assert answer.status_code == 201
    assert (server.data / "a.csv").read_bytes() == CSV
    again = server.client.request(method, "/datafile/a.csv", content=b"other", headers=headers)
    assert again.status_code == 409
    assert (server.data / "a.csv").read_bytes() == CSV


def test_json_that_is_put_is_a_file(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.client.put("/datafile/a.json", content=b'{"options": {}}', headers=headers)
    assert answer.status_code == 201
    assert (server.data / "a.json").read_bytes() == b'{"options": {}}'


def test_an_empty_body_is_no_file(server: Server) -> None:
    with server.unchanged():
        answer = server.client.put("/datafile/a.csv")
    assert answer.status_code == 400
    assert "curl -T" in answer.json()["message"]


def test_content_is_sent_as_it_is_with_type_name_and_size(client: httpx.Client) -> None:
    assert client.put("/datafile/Größe.csv", content=CSV).status_code == 201
    answer = client.get("/datafile/Größe.csv/content")
    assert (answer.status_code, answer.content) == (200, CSV)
    headers = answer.headers
    assert headers["Content-Type"].partition(";")[0] == "text/csv"
    assert headers["Content-Length"] == str(len(CSV))
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv" in headers["Content-Disposition"]
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Last-Modified"].endswith("GMT")
    head = client.head("/datafile/Größe.csv/content")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == headers["ETag"]
    assert head.headers["Content-Length"] == str(len(CSV))


def test_content_has_the_media_type_of_its_file(client: httpx.Client) -> None:
    kinds = {"a.json": "application/json", "a.csv.gz": "application/gzip", "a.dat": "octet-stream"}
    for name, kind in kinds.items():
        assert client.put(f"/datafile/{name}", content=b"x").status_code == 201
        assert kind in client.get(f"/datafile/{name}/content").headers["Content-Type"]


def test_content_is_sent_in_ranges_and_only_when_it_changed(server: Server) -> None:
    client, url = server.client, "/datafile/a.csv/content"
    assert client.put("/datafile/a.csv", content=CSV).status_code == 201
    tag = client.get(url).headers["ETag"]
    part = client.get(url, headers={"Range": "bytes=5-9", "If-Range": tag})
    assert (part.status_code, part.content) == (206, CSV[5:10])
    assert part.headers["Content-Range"] == f"bytes 5-9/{len(CSV)}"
    assert client.get(url, headers={"Range": "bytes=-4"}).content == CSV[-4:]
    beyond = client.get(url, headers={"Range": "bytes=999-"})
    assert (beyond.status_code, beyond.json()["status"]) == (416, 416)
    same = client.get(url, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    (server.data / "a.csv").write_bytes(CSV + CSV)
    changed = client.get(url, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.content) == (200, CSV + CSV)
    assert changed.headers["ETag"] != tag
    old = client.get(url, headers={"Range": "bytes=5-9", "If-Range": tag})
    assert (old.status_code, old.content) == (200, CSV + CSV)


def test_content_of_no_file_is_refused(client: httpx.Client) -> None:
    assert client.get("/datafile/none.csv/content").status_code == 404
    assert client.get("/datafile/none.exe/content").status_code == 415


def test_a_changed_case_is_another_file(client: httpx.Client) -> None:
    assert upload(client, "a.csv").status_code == 201
    assert upload(client, "A.csv").status_code == 201
    assert {"a.csv", "A.csv"} <= set(files(client))


def test_the_case_of_an_extension_does_not_matter(server: Server) -> None:
    client = server.client
    shipped = client.get("/datafile/timeseries.csv").json()
    assert client.get("/datafile/timeseries.CSV").json() == shipped
    assert upload(client, "timeseries.Csv").status_code == 409
    assert upload(client, "B.TXT").status_code == 201
    assert client.get("/datafile/B.txt", params={"format": "txt"}).status_code == 200
    job = run_through(client, script_name="summary", datafile="timeseries.CSV")
    assert job["data"]["name"] == "timeseries.csv"
    assert job["result"]["value"]["count"] == 12000
    assert client.delete("/datafile/B.tXt").status_code == 200
    assert set(files(client)) == {"timeseries.csv"}
    assert client.get("/datafile/TIMESERIES.csv").status_code == 404


BAD_NAMES = [
    *("%2e%2e%2fconfig.csv", "..%2Fx.csv", "x%2Fy.csv", "x/y.csv", "x/", "a%2F..%2Fb.csv"),
    *("...", ".hidden.csv", "...csv", "-a.csv", " a.csv", "a.csv ", "a.csv.", "a%00.csv"),
    "a%0Ab.csv",
    *(
        "a\u0308.csv",
        "\u0301a.csv",
        "com\xb9.csv",
        "水" * 90 + ".csv",
        "a\u200d.csv",
        "a\\b.csv",
        "a:b.csv",
        "a*.csv",
        "a%3F.csv",
        "<a>.csv",
        '"a".csv',
    ),
    *("con.csv", "NUL.txt", "aux.tar.gz", "com1.csv", "LPT9.csv", "x" * 97 + ".csv", "%ff.csv"),
    *("a.csv/", "a.csv%2F", "%20.csv", "~a.csv", "$a.csv", "a;b.csv", "%e2%80%8b.csv"),
]
BAD_EXTENSIONS = ["a", "csv", "a.exe", "a.html", "a.svg", "a.py", "a.csv.sh", "a.pyc", "a.csvx"]


@pytest.mark.parametrize(("names", "status"), [(BAD_NAMES, 400), (BAD_EXTENSIONS, 415)])
def test_bad_names(server: Server, names: list[str], status: int) -> None:
    with server.unchanged():
        for name in names:
            answers = [upload(server.client, name, method=method) for method in ("PUT", "POST")]
            answers += [server.client.get(f"/datafile/{name}")]
            answers += [server.client.delete(f"/datafile/{name}")]
            assert [answer.status_code for answer in answers] == [status] * 4, name


def test_a_bad_name_is_reported_before_a_bad_form(server: Server) -> None:
    assert "name" in server.client.put("/datafile/.csv").json()["message"]
    assert server.client.put("/datafile/a.exe").status_code == 415


def test_a_taken_name(server: Server) -> None:
    with server.unchanged():
        answer = upload(server.client, "timeseries.csv")
        assert answer.status_code == 409
        assert "timeseries.csv" in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_files(server: Server, method: str) -> None:
    with server.unchanged():
        answer = server.client.request(method, "/datafile/none.csv")
        assert answer.status_code == 404
        assert "none.csv" in answer.json()["message"]


def form(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    """A multipart form with the boundary x."""
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


FILE = b'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n1,2'


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"--x--\r\n", b"1,2\n", form(FILE, FILE), form(FILE, end=b""), form(FILE)[:-4]),
        form(FILE.replace(b'name="file"', b'name="data"')),
        form(FILE.replace(b'; filename="a.csv"', b"")),
        form(FILE.replace(b"\r\n\r\n", b"\r\n")),
        form(b"Content-Type: text/csv\r\n\r\n1,2"),
        form(FILE.replace(b'name="file"; ', b"")),
        *(form(FILE)[:cut] for cut in (1, 4, 20, 50, 66)),
    ],
)
def test_forms_without_a_file(server: Server, content: bytes) -> None:
    with server.unchanged():
        for method in ("PUT", "POST"):
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = server.client.request(
                method, "/datafile/a.csv", content=content, headers=headers
            )
            assert answer.status_code == 400
            assert "field 'file'" in answer.json()["message"]


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/mixed; boundary=x"],
)
def test_uploads_that_are_not_a_form(server: Server, kind: str) -> None:
    with server.unchanged():
        headers = {"Content-Type": kind}
        answer = server.client.put("/datafile/a.csv", content=form(FILE), headers=headers)
        assert answer.status_code == 400


def test_the_name_in_the_form_means_nothing(server: Server) -> None:
    client = server.client
    path = {"file": ("../../etc/passwd.exe", CSV, "text/html")}
    assert client.put("/datafile/mine.csv", files=path).status_code == 201
    assert (server.data / "mine.csv").read_bytes() == CSV


@pytest.mark.parametrize("content", [b"", b"\0" * 100_000, bytes(range(256)) * 9000])
def test_any_content_comes_back_as_sent(client: httpx.Client, content: bytes) -> None:
    assert upload(client, "any.csv", content).status_code == 201
    assert client.get("/datafile/any.csv", params={"format": "csv"}).content == content
    assert client.get("/datafile/any.csv", params={"format": "txt"}).content == content


@pytest.mark.parametrize(
    ("form", "kind", "content"),
    [
        ("csv", "text/csv; charset=utf-8", CSV),
        ("txt", "text/plain; charset=utf-8", CSV),
        (
            "json",
            "application/json",
            b'[{"date":"2018-09-05","value":1.5},\n{"date":"2018-09-06","value":null}]',
        ),
        (
            "html",
            "text/html; charset=utf-8",
            b"<!doctype html>\n<meta charset=utf-8>\n<table>\n<thead>\n"
            b"<tr><th>date</th><th>value</th></tr>\n</thead>\n<tbody>\n"
            b"<tr><td>2018-09-05</td><td>1.5</td></tr>\n<tr><td>2018-09-06</td><td></td></tr>\n"
            b"</tbody>\n</table>\n",
        ),
    ],
)
def test_formats(client: httpx.Client, form: str, kind: str, content: bytes) -> None:
    upload(client, "mine.csv")
    answer = client.get("/datafile/mine.csv", params={"format": form})
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["Content-Type"] == kind
    policy = DOCUMENT_POLICY if form == "html" else DATA_POLICY
    assert answer.headers["Content-Security-Policy"] == policy
    assert answer.headers["Content-Disposition"] == f'inline; filename="mine.{form}"'


def test_nothing_in_a_file_becomes_markup(client: httpx.Client) -> None:
    upload(client, "evil.csv", b"<script>a</script>,b\n<img onerror=x>,'\"&\n")
    shown = client.get("/datafile/evil.csv", params={"format": "html"}).text
    assert "<script" not in shown
    assert "<img" not in shown


@pytest.mark.parametrize(
    ("name", "form", "told"),
    [
        ("a.json", "csv", "not valid JSON"),
        ("a.json", "json", "not valid JSON"),
        ("a.png", "csv", "only as txt."),
        ("a.nc", "json", "not a NetCDF file"),
    ],
)
def test_formats_that_do_not_fit(client: httpx.Client, name: str, form: str, told: str) -> None:
    upload(client, name)
    answer = client.get(f"/datafile/{name}", params={"format": form})
    assert answer.status_code == 415
    assert told in answer.json()["message"]


def test_a_file_that_is_no_table(client: httpx.Client) -> None:
    upload(client, "text.txt", b'a "word\n' + b'"' + b"x" * 200_000)
    answer = client.get("/datafile/text.txt", params={"format": "json"})
    assert answer.status_code == 415


def test_remarks_of_the_reader_come_with_the_content(client: httpx.Client) -> None:
    upload(client, "gauge.csv", "größe,b\n".encode() + b"1,2\n" * 5 + b"Ice,-999\n")
    answer = client.get("/datafile/gauge.csv", params={"format": "json"})
    assert answer.json()[-1] == {"größe": "Ice", "b": -999}
    column, code = json.loads(answer.headers["X-Remarks"])
    assert "größe" in column
    assert '"missing": [-999]' in code
    upload(client, "plain.csv")
    plain = client.get("/datafile/plain.csv", params={"format": "json"})
    assert "X-Remarks" not in plain.headers


def test_many_remarks_fit_into_a_header(client: httpx.Client) -> None:
    names = [f"column {number} of a long name" for number in range(50)]
    rows = [names, *[["1"] * 50] * 5, ["Ice"] * 50]
    upload(client, "wide.csv", "".join(",".join(row) + "\n" for row in rows).encode())
    answer = client.get("/datafile/wide.csv", params={"format": "json"})
    assert len(answer.headers["X-Remarks"]) < 5000
    *shown, last = json.loads(answer.headers["X-Remarks"])
    assert 0 < len(shown) < 50
    assert last.startswith(f"{50 - len(shown)} more")


def test_a_client_that_leaves_ends_the_process_that_shows_a_file(server: Server) -> None:
    path = server.data / "long.dat"
    path.write_text("a;b\n" + "1,5;2,25\n" * 3_000_000, "ascii")

    def is_shown() -> bool:
        return is_open_below(server.process.pid, path)

    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /datafile/long.dat?format=json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        until(is_shown)
    until(lambda: not is_shown(), 3)


@pytest.mark.parametrize("form", ["xml", "CSV", "", "csv,json", "../csv"])
def test_unknown_formats(client: httpx.Client, form: str) -> None:
    answer = client.get("/datafile/timeseries.csv", params={"format": form})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "format"


def test_a_large_file_is_shown_whole(client: httpx.Client) -> None:
    rows = [f"{number},{number / 7}" for number in range(100_000)]
    content = "\n".join(["n,x", *rows]).encode()
    assert upload(client, "large.csv", content).status_code == 201
    listed = client.get("/datafile/large.csv", params={"format": "json"}).json()
    assert listed == [{"n": number, "x": number / 7} for number in range(100_000)]


def test_delete(server: Server) -> None:
    client = server.client
    upload(client, "mine.csv")
    answer = client.delete("/datafile/mine.csv")
    assert answer.json().keys() == {"status", "acknowledged", "message"}
    assert answer.json()["acknowledged"] is True
    assert not (server.data / "mine.csv").exists()
    assert client.delete("/datafile/mine.csv").status_code == 404
    assert upload(client, "mine.csv").status_code == 201


def test_delete_all(server: Server) -> None:
    client = server.client
    upload(client, "mine.csv")
    foreign = server.data / "notes.html"
    foreign.write_text("not a data file")
    answer = client.delete("/datafiles").json()
    assert answer == {
        "status": 200,
        "acknowledged": True,
        "deleted": 2,
        "total": 2,
        "message": answer["message"],
    }
    assert files(client) == []
    assert foreign.exists()
    assert client.delete("/datafiles").json()["deleted"] == 0


def test_only_data_files_are_listed(server: Server) -> None:
    (server.home / "outside.csv").write_text("a,b\n")
    for name in (".hidden.csv", "page.html", "script.py", "noextension"):
        (server.data / name).write_text("x")
    (server.data / "folder.csv").mkdir()
    (server.data / "link.csv").symlink_to(server.home / "outside.csv")
    assert files(server.client) == ["timeseries.csv"]
    for name in ("link.csv", "folder.csv"):
        assert server.client.get(f"/datafile/{name}").status_code == 404
        assert server.client.delete(f"/datafile/{name}").status_code == 404
        assert upload(server.client, name).status_code == 409
    assert (server.data / "link.csv").is_symlink()
    (server.data / "folder.csv").rmdir()
    (server.data / ".hidden.csv").unlink()
    (server.home / "outside.csv").unlink()


def test_a_script_gets_the_uploaded_file(client: httpx.Client) -> None:
    upload(client, "mine.csv")
    assert run_through(client, script_name="size_of", datafile="mine.csv")["result"] == len(CSV)


def test_no_data_folder(server: Server) -> None:
    for path in server.data.iterdir():
        path.unlink()
    server.data.rmdir()
    assert files(server.client) == []
    assert server.client.get("/datafile/a.csv").status_code == 404
    assert server.client.delete("/datafiles").json()["deleted"] == 0
    assert upload(server.client, "a.csv").status_code == 201


LOCAL = "Tag;Abfluss\n01.02.2020;1.250,5\n02.02.2020;-999\n".encode("latin-1")
OPTIONS = {"times": "Tag", "thousands": ".", "missing": [-999]}


def test_options_are_kept_shown_used_and_overridden(client: httpx.Client) -> None:
    upload(client, "rhine.csv", LOCAL)
    kept = client.post("/datafile/rhine.csv", json={"options": OPTIONS})
    assert kept.status_code == 200
    assert kept.json()["options"] == client.get("/datafile/rhine.csv").json()["options"] == OPTIONS
    shown = client.get("/datafile/rhine.csv", params={"format": "csv"}).text
    assert shown == "Tag,Abfluss\n2020-02-01,1250.5\n2020-02-02,\n"
    job = run_through(client, script_name="summary", datafile="rhine.csv")
    assert job["data"]["missing"] == [-999]
    assert job["result"]["Abfluss"]["mean"] == 1250.5
    data = {"type": "datafile", "name": "rhine.csv", "missing": [0]}
    assert (
        run_through(client, script_name="summary", data=data)["result"]["Abfluss"]["min"] == -999.0
    )
    assert client.post("/datafile/rhine.csv", json={"options": {}}).json().keys() == {
        *("name", "path", "size")
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"options": {"separator": "x"}}, "options.separator"),
        ({"options": {"delimiter": ";"}}, "options.delimiter"),
        ({"options": {}, "more": 1}, "more"),
    ],
)
def test_options_that_are_wrong_are_refused(
    client: httpx.Client, body: dict[str, object], field: str
) -> None:
    upload(client, "wrong.csv")
    refused = client.post("/datafile/wrong.csv", json=body)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert "options" not in client.get("/datafile/wrong.csv").json()
    assert client.post("/datafile/none.csv", json={"options": {}}).status_code == 404


def test_options_are_tried_beside_those_kept_and_leave_these(client: httpx.Client) -> None:
    upload(client, "rhine.csv", LOCAL)
    client.post("/datafile/rhine.csv", json={"options": OPTIONS})
    for tried, cells in [
        ({"missing": None}, "Tag,Abfluss\n2020-02-01,1250.5\n2020-02-02,-999.0\n"),
        ({"missing": [1250.5]}, "Tag,Abfluss\n2020-02-01,\n2020-02-02,-999.0\n"),
        ({"times": None, "columns": ["Abfluss"]}, 'Abfluss\n1250.5\n""\n'),
    ]:
        query = {"format": "csv", "options": json.dumps(tried)}
        assert client.get("/datafile/rhine.csv", params=query).text == cells
    assert client.get("/datafile/rhine.csv").json()["options"] == OPTIONS


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"format": "json", "options": '{"skip": -1}'}, "options.skip"),
        ({"format": "json", "options": '{"sheet": 1}'}, "options.sheet"),
        ({"options": "{}"}, "options"),
        ({"format": "json", "options": '{"times": "a", "times": "b"}'}, "options.times"),
        ({"format": "json", "options": '["times"]'}, "options"),
        ({"format": "json", "options": "{times: Date}"}, "options"),
    ],
)
def test_options_that_cannot_be_tried_are_refused(
    client: httpx.Client, query: dict[str, str], field: str
) -> None:
    upload(client, "wrong.csv")
    refused = client.get("/datafile/wrong.csv", params=query)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert "ptions" in refused.json()["message"]
    assert "body" not in refused.json()["message"]


@pytest.mark.parametrize("options", ["", "[1]", "{", '{"skip": NaN}'])
def test_options_that_are_no_json_object_are_refused(client: httpx.Client, options: str) -> None:
    upload(client, "wrong.csv")
    query = {"format": "json", "options": options}
    assert client.get("/datafile/wrong.csv", params=query).status_code == 400


def test_a_script_without_times_is_told_where_they_may_be(client: httpx.Client) -> None:
    upload(client, "days.csv", b"when,q\n01.02.2020,1\n02.02.2020,2\n")
    job = run_through(client, script_name="resample", datafile="days.csv")
    assert job["state"] == "failed"
    assert all(fact in job["message"] for fact in ("line 2", "01.02.2020", '"times": "when"'))
