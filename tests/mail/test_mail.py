"""Mail arrives exactly once, whatever the mail server does; ended jobs notify by mail."""

from __future__ import annotations

import logging
import re
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psutil
import pytest
from bson import ObjectId

from jobserver.errors import BadRequest, SettingsError
from jobserver.home.settings import Settings
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.notifications import Notifications
from jobserver.jobs.outcome import Outcome
from jobserver.mail import Outbox, delivery, outbox, smtp, store, with_sender
from jobserver.storage.database import Database
from jobserver.storage.embedded import EmbeddedServer
from tests.support.fleet import fleet
from tests.support.mailbox import HOST, Mailbox, free_port, mailbox, useless_server
from tests.support.runs import cancel, create, read, start
from tests.support.server import MakeServer, Server, finished, until

ANNA = "anna@example.org"
SECRETS = ("hunter2-hunter2", "correct-horse-battery-staple")
SENDER = "Jobs <jobs@example.org>"
LINK = {"url": "/user/1/activate?token=abc", "token": "abc"}


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    opened = Database(uri)
    opened.create_indexes()
    for name in ("outbox", "jobs"):
        opened[name].delete_many({})
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pauses are short."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(delivery, "FIRST_PAUSE", timedelta(seconds=0.05))
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", timedelta(seconds=0.2))


def settings_for(port: int, **more: Any) -> Settings:
    values: dict[str, Any] = {"MAIL_SERVER": HOST, "MAIL_PORT": port, "MAIL_USE_TLS": False}
    values |= {"MAIL_DEFAULT_SENDER": SENDER, "PUBLIC_URL": "https://jobs.example.org/api/"}
    return Settings(home=Path(), **values | more)


@contextmanager
def sending(database: Database, port: int, **more: Any) -> Iterator[Outbox]:
    """An outbox that sends to a port."""
    box = Outbox(database, settings_for(port, **more))
    box.start()
    try:
        yield box
    finally:
        box.stop()


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The plain text of a mail and its HTML."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def fates(database: Database) -> list[str | None]:
    return [entry.get("fate") for entry in database["outbox"].find({})]


def test_a_mail_has_links_and_both_parts(database: Database) -> None:
    with mailbox() as box, sending(database, box.port) as outgoing:
        outgoing.post(ANNA, "activate", **LINK)
        outgoing.post(ANNA, "reset", **LINK)
        until(lambda: fates(database) == ["sent", "sent"])
        assert box.envelopes[0].mail_from == "jobs@example.org"
        assert [mail["Subject"] for mail in box.to(ANNA)] == [
            "Activate your account",
            "Choose a new password",
        ]
    for mail in box.mails:
        assert mail["From"] == SENDER
        assert mail["Auto-Submitted"] == "auto-generated"
        for text in parts(mail):
            assert "https://jobs.example.org/api/user/1/activate?token=abc" in text
    kept = list(database["outbox"].find({}))
    assert [set(entry) for entry in kept] == [{"_id", "at", "fate"}] * 2  # no address, no token


def test_links_never_come_from_nowhere(database: Database) -> None:
    plain = Outbox(database, settings_for(25, PUBLIC_URL=None))
    assert plain.link("/x") == "/x"
    plain.serve_at("http://127.0.0.1:5000")
    assert plain.link("/x") == "http://127.0.0.1:5000/x"
    assert plain.link("https://other.example/x") == "https://other.example/x"
    public = Outbox(database, settings_for(25))
    public.serve_at("http://127.0.0.1:5000")
    assert public.link("/x") == "https://jobs.example.org/api/x"


def test_messages_of_scripts_are_escaped(database: Database) -> None:
    values = {"id": "1", "state": "failed", "script": "<b>", "finished": "now", "seconds": "1"}
    values |= {"message": "<script>alert(1)</script>\n.\r\nSubject: x", "link": "/job/1"}
    with mailbox() as box, sending(database, box.port):
        store(database, ObjectId(), ANNA, "finished", values)
        mail = until(lambda: box.mails)[0]
    text, html = parts(mail)
    assert "<script>" in text
    assert "<script>" not in html
    assert mail["Subject"] == "Job 1: failed"
    assert mail.get_all("Subject") == ["Job 1: failed"]


@pytest.mark.parametrize("address", ["anna@example.org\r\nBcc: x@y", "a@b, c@d", "", "anna", None])
def test_wrong_addresses_are_refused(database: Database, address: Any) -> None:
    with pytest.raises(BadRequest):
        Outbox(database, settings_for(25)).post(address, "reset", **LINK)
    assert fates(database) == []


def test_a_mail_that_is_sent_is_not_sent_again(database: Database) -> None:
    with mailbox() as box, sending(database, box.port) as outgoing:
        for _ in range(2):
            store(database, "same", ANNA, "reset", LINK)
        until(lambda: fates(database) == ["sent"])
        store(database, "same", ANNA, "reset", LINK)
        outgoing.post("last@example.org", "reset", **LINK)
        until(lambda: box.to("last@example.org"))
    assert len(box.to(ANNA)) == 1


def test_many_servers_send_each_mail_once(uri: str, database: Database) -> None:
    for number in range(40):
        store(database, number, f"{number}@example.org", "reset", LINK)
    databases = [Database(uri) for _ in range(4)]
    with mailbox() as box:
        deliveries = [
            delivery.Delivery(one, settings_for(box.port), lambda path: path) for one in databases
        ]

        def work(one: delivery.Delivery) -> None:
            while one.deliver():
                pass

        threads = [threading.Thread(target=work, args=(one,)) for one in deliveries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(box.mails) == 40
    assert {mail["To"] for mail in box.mails} == {f"{number}@example.org" for number in range(40)}
    for one in databases:
        one.close()


def test_a_mail_of_a_dead_sender_is_sent_after_its_lease(database: Database) -> None:
    store(database, "left", ANNA, "reset", LINK)
    with mailbox() as box:
        one = delivery.Delivery(database, settings_for(box.port), lambda path: path)
        later = database.now() + timedelta(seconds=60)
        database["outbox"].update_one({}, {"$set": {"claim": ObjectId(), "due": later}})
        assert one.deliver() == 0
        database["outbox"].update_one({}, {"$set": {"due": database.now()}})
        assert one.deliver() == 1
        assert len(box.to(ANNA)) == 1


def test_a_server_that_is_down_is_tried_until_it_is_back(database: Database) -> None:
    port = free_port()
    with sending(database, port) as outgoing:
        outgoing.post(ANNA, "reset", **LINK)
        until(lambda: database["outbox"].find_one({"tries": {"$gt": 2}}))
        with mailbox(port) as box:
            until(lambda: fates(database) == ["sent"])
            assert len(box.to(ANNA)) == 1


@pytest.mark.parametrize("drip", [b"", b"2"])
def test_a_server_that_hangs_delays_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(smtp, "SOCKET_SECONDS", 0.5)
    monkeypatch.setattr(smtp, "SEND_SECONDS", 0.6)
    with useless_server(drip) as port, sending(database, port) as outgoing:
        began = time.monotonic()
        outgoing.post(ANNA, "reset", **LINK)
        assert time.monotonic() - began < 0.5
        until(lambda: database["outbox"].find_one({"tries": {"$gt": 1}}))
    assert time.monotonic() - began < 8


def test_shutdown_does_not_wait_for_the_mail_server(database: Database) -> None:
    with useless_server() as port:
        with sending(database, port) as outgoing:
            outgoing.post(ANNA, "reset", **LINK)
            until(lambda: database["outbox"].find_one({"claim": {"$exists": True}}))
            began = time.monotonic()
        assert time.monotonic() - began < 4


def test_a_permanent_refusal_is_given_up(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with mailbox() as box:
        box.answers += ["451 later", "452 later still", "554 never"]
        with sending(database, box.port) as outgoing:
            outgoing.post(ANNA, "reset", **LINK)
            until(lambda: fates(database) == ["given up"])
        assert (box.answers, box.mails) == ([], [])
    assert re.search(r"Giving up .*: the mail server refuses it, code 554", caplog.text)
    assert ANNA not in caplog.text


def test_after_days_it_is_given_up(database: Database) -> None:
    store(database, "old", ANNA, "reset", LINK)
    old = database.now() - timedelta(days=5)
    database["outbox"].update_one({}, {"$set": {"at": old}})
    with sending(database, free_port()):
        until(lambda: fates(database) == ["given up"])


def test_pauses_grow(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", timedelta(seconds=5))
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", timedelta(seconds=15))
    store(database, "one", ANNA, "reset", LINK)
    one = delivery.Delivery(database, settings_for(free_port()), lambda path: path)
    pauses = []
    for _ in range(3):
        before = database.now()
        with pytest.raises(delivery.MailServerAway, match="ConnectionRefusedError"):
            one.deliver()
        mail = database["outbox"].find_one({})
        assert mail is not None
        pauses.append((mail["due"] - before).total_seconds())
        database["outbox"].update_one({}, {"$set": {"due": before}})
    assert pauses == pytest.approx([5, 10, 15], abs=1)


def test_without_a_mail_server_mails_stay_and_one_warning_is_logged(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(25, MAIL_SERVER=None)
    Outbox(database, settings).post(ANNA, "reset", **LINK)
    one = delivery.Delivery(database, settings, lambda path: path)
    for _ in range(3):
        assert one.deliver() == 0
    assert caplog.text.count("set MAIL_SERVER") == 1
    assert fates(database) == [None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that nobody signed but itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def offered(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What a mail server with a certificate offers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


TLS: dict[str, Any] = {"MAIL_SERVER": "localhost", "MAIL_USE_TLS": True}


def test_a_login_at_the_mail_server(
    database: Database,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    caplog.set_level(logging.DEBUG)
    with mailbox(login=True, tls_context=offered(certificate)) as box:
        wrong = TLS | {"MAIL_USERNAME": "jobs", "MAIL_PASSWORD": "hunter2-hunter2"}
        with sending(database, box.port, **wrong) as outgoing:
            outgoing.post(ANNA, "reset", **LINK)
            until(lambda: "SMTPAuthenticationError, code 535" in caplog.text)
        assert box.mails == []
        right = wrong | {"MAIL_PASSWORD": "open sesame"}
        with sending(database, box.port, **right):
            until(lambda: box.mails)
    assert box.logins[-1] == (b"jobs", b"open sesame")
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    output = "".join((*ours, *capfd.readouterr()))
    words = ("hunter2", "open sesame", b64encode(b"\0jobs\0open sesame").decode())
    assert [word for word in words if word in output] == []


def test_encryption_is_asked_for_and_checked(
    database: Database,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mailbox() as plain, sending(database, plain.port, **TLS) as outgoing:
        outgoing.post(ANNA, "reset", **LINK)
        until(lambda: "STARTTLS" in caplog.text)
        assert plain.mails == []
    with mailbox(tls_context=offered(certificate), require_starttls=True) as box:
        with sending(database, box.port, **TLS):
            until(lambda: "certificate verify failed" in caplog.text)
            assert box.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with sending(database, box.port, **TLS):
            until(lambda: box.mails)
    ssl_only = TLS | {"MAIL_USE_SSL": True}
    with (
        mailbox(ssl_context=offered(certificate)) as box,
        sending(database, box.port, **ssl_only) as outgoing,
    ):
        outgoing.post(ANNA, "reset", **LINK)
        until(lambda: box.mails)


def test_mail_needs_a_sender(database: Database) -> None:
    for sender in (None, "Jobs", "a@b\r\nBcc: c@d"):
        with pytest.raises(SettingsError, match="MAIL_DEFAULT_SENDER"):
            Outbox(database, settings_for(25, MAIL_DEFAULT_SENDER=sender))
    settings = settings_for(25, MAIL_DEFAULT_SENDER=None, MAIL_USERNAME=ANNA)
    assert with_sender(settings).MAIL_DEFAULT_SENDER == ANNA


# Jobs that notify of their end.


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


@pytest.fixture(scope="module")
def mailing(make_server: MakeServer, box: Mailbox) -> Iterator[Server]:
    settings: dict[str, object] = {"MAIL_SERVER": HOST, "MAIL_PORT": box.port}
    settings |= {"MAIL_USE_TLS": "false", "MAIL_DEFAULT_SENDER": SENDER}
    settings |= {"MAIL_PASSWORD": SECRETS[0], "SECRET_KEY": SECRETS[1]}
    with make_server(**settings) as server:
        yield server


def test_every_end_is_notified_once(mailing: Server, box: Mailbox) -> None:
    client = mailing.client
    states = {}
    for name, script, fields in (
        ("fine", "noop", {}),
        ("bad", "fail", {"retries": 1}),
        ("gone", "noop", {}),
    ):
        job_id = start(client, script, {"notify": f"{name}@example.org", **fields})
        states[name] = finished(client, job_id)["state"]
        if name == "gone":
            assert client.delete(f"/job/{job_id}").status_code == 200
    running = start(client, "hold", {"notify": "running@example.org"})
    queued = start(client, "noop", {"notify": "queued@example.org"})
    silent = start(client, "noop", {"notify": False})
    until(lambda: client.get(f"/job/{running}").json()["state"] == "running")
    states["queued"] = cancel(client, queued)["state"]
    states["running"] = cancel(client, running)["state"]
    finished(client, silent)

    assert states == dict.fromkeys(("queued", "running"), "cancelled") | {
        "fine": "finished",
        "bad": "failed",
        "gone": "finished",
    }
    until(lambda: len(box.mails) == len(states))
    for name, state in states.items():
        (mail,) = box.to(f"{name}@example.org")
        assert mail["Subject"].endswith(f": {state}")
    text, _ = parts(box.to("bad@example.org")[0])
    assert "Script:  fail" in text
    assert "failed on purpose" in text
    assert f"{mailing.address}/job/{queued}" in parts(box.to("queued@example.org")[0])[0]
    shown = client.get(f"/job/{queued}", params={"stringify": "false"}).json()
    assert shown["notify"] == "queued@example.org"
    assert [name for name in shown if name.startswith("_run")] == []


@pytest.mark.parametrize("notify", [True, 1, "", "anna", "a@b\nc", ["a@b"], {"to": "a@b"}])
def test_invalid_recipients(mailing: Server, notify: Any) -> None:
    job_id = create(mailing.client, "noop", {"notify": notify})
    with mailing.unchanged():
        refused = mailing.client.post(f"/job/{job_id}/run")
    assert refused.status_code == 422
    assert [entry["field"] for entry in refused.json()["errors"]] == ["notify"]


def test_secrets_show_nowhere(mailing: Server) -> None:
    secrets = (*SECRETS, "a-token-in-a-link")
    client = mailing.client
    finished(client, start(client, "fail", {"notify": ANNA}))
    paths = ("/", "/info", "/health", "/openapi.json", "/nothing", "/info?x=1", "/jobs", "/scripts")
    seen = [client.get(path).text for path in paths]
    seen.append(client.get("/nothing", params={"token": secrets[-1]}).text)
    family = psutil.Process(mailing.process.pid)
    for process in (family, *family.children(recursive=True)):
        seen += process.cmdline()
    seen.append(mailing.log)
    assert len(seen) > 15
    assert [secret for secret in secrets if secret in "\n".join(seen)] == []


class Killed(Exception):
    """Stands for kill -9."""


@pytest.mark.parametrize("died", ["before", "between", "after it was sent"])
def test_a_keeper_that_dies_loses_and_doubles_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    runs = JobLifecycle(database, "me", 30)
    seen = runs.jobs.create({})
    assert runs.enqueue(seen, {"script": {"name": "noop"}}, {"notify": ANNA})
    claimed = runs.claims.claim(seen.id)
    assert claimed is not None
    assert runs.finish(claimed, Outcome(State.FINISHED, 1)) is State.FINISHED

    notices, real = Notifications(database), database.call
    with mailbox() as box:
        one = delivery.Delivery(database, settings_for(box.port), lambda path: path)

        def dies(operation: Any, *args: Any, **kwargs: Any) -> Any:
            name = operation.__name__
            if (died == "before" and name == "insert_one") or name == "update_one":
                raise Killed
            return real(operation, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(database, "call", dies)
            with pytest.raises(Killed):
                notices.send_due()
        if died == "after it was sent":
            assert one.deliver() == 1
        for _ in range(2):
            Notifications(database).send_due()
            one.deliver()
        assert len(box.to(ANNA)) == 1
    assert runs.jobs.get(seen.id).run.mail is None


def test_kill_9_loses_and_doubles_nothing(home: Path) -> None:
    with fleet(home, "server", WORKERS=2, LEASE_SECONDS=3) as members:
        with members.client() as client:
            ids = [start(client, "noop", {"notify": ANNA, "retries": 5}) for _ in range(20)]
            ids.append(start(client, "doze", {"notify": ANNA}))
            until(lambda: read(client, ids[5])["state"] == "finished", 30)
        members.kill_all()
        members.wait_ready()
        with members.client() as client:
            for job_id in ids[:-1]:
                finished(client, job_id)
            if read(client, ids[-1])["state"] in {"queued", "running"}:
                cancel(client, ids[-1])
        members.kill_all()
    embedded = EmbeddedServer(home)
    database = Database(embedded.start())
    Notifications(database).send_due()
    keys = [job["_run"]["key"] for job in database["jobs"].find({"notify": ANNA})]
    mails = [entry["_id"] for entry in database["outbox"].find({"to": ANNA})]
    database.close()
    embedded.stop()
    assert len(keys) == len(ids)
    assert sorted(mails) == sorted(keys)
