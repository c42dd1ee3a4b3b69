"""HTTP with patience: what a lost connection or a restart of the server cut off is repeated."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from jobserver.client.failures import Unreachable, check
from jobserver.errors import SettingsError, Unavailable

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
#: Errors before anything was sent.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Params = Mapping[str, str | int | float]


class Connection:
    """The way to one server.

    Parameters
    ----------
    url : str
        Address of the server.
    token : str or None
        Sent as ``Authorization: Bearer``.
    timeout : float
        Seconds without a byte after which a request counts as lost.
    patience : float
        Seconds for which lost requests are repeated. The first request must get an answer: if none
        comes, the address is probably wrong.

    Attributes
    ----------
    close : callable
        Closes it; if nobody calls it, this happens when nothing uses it any more.
    """

    def __init__(self, url: str, token: str | None, timeout: float, patience: float) -> None:
        self.url = _checked(url)
        self.patience = patience
        self._timeout = timeout
        self._answered = False
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise SettingsError("The token has spaces or characters that no token has.")
        headers = {"Prefer": "advice=none"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)
        self.close = weakref.finalize(self, self._http.close)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterator[bytes]] | bytes | None = None,
        repeat: bool = True,
        wait: float = 0,
    ) -> httpx.Response:
        """Send a request, and return the answer.

        Parameters
        ----------
        content : bytes or callable
            The body, or a function that begins it anew for each attempt.
        repeat : bool
            Whether it may be sent again if it may have arrived.
        wait : float
            Seconds that the server may take longer than usual.

        Raises
        ------
        ApiError
            If the server refuses it.
        Unreachable
            If there is no answer.
        """
        timeout = self._longer(wait)
        patience = self._patience()
        while True:
            body = content() if callable(content) else content
            try:
                response = self._http.request(
                    method, path, params=params, headers=headers, content=body, timeout=timeout
                )
            except httpx.TransportError as error:
                patience.after(error, may_repeat=repeat or isinstance(error, _UNSENT))
                continue
            if not self._answered:  # from now on it may be away
                self._answered, patience = True, _Patience(self.url, self.patience)
            try:
                check(response)
            except Unavailable as error:
                patience.after_refusal(error)
            else:
                return response

    def stream(
        self,
        path: str,
        params: Params | None = None,
        *,
        offset: str = "",
        start: int = 0,
        wait: float = 0,
    ) -> Iterator[bytes]:
        """Yield the content of an answer piece by piece.

        Parameters
        ----------
        offset : str
            Parameter by which a stream that was cut off is resumed; without one it is an error.
        start : int
            First value of that parameter.
        wait : float
            Seconds that the server may take longer than usual.
        """
        received, patience = start, self._patience()
        while True:
            resumed = {**(params or {}), **({offset: received} if offset else {})}
            try:
                with self._opened(path, resumed, wait) as response:
                    for piece in response.iter_bytes():
                        received += len(piece)
                        yield piece
                        patience = self._patience()
                return
            except httpx.TransportError as error:
                patience.after(error, may_repeat=bool(offset) or received == start)
            except Unavailable as error:
                patience.after_refusal(error)

    @contextmanager
    def _opened(self, path: str, params: Params, wait: float) -> Iterator[httpx.Response]:
        timeout = self._longer(wait)
        with self._http.stream("GET", path, params=params, timeout=timeout) as response:
            self._answered = True
            if not response.is_success:
                response.read()
            check(response)
            yield response

    def _longer(self, wait: float) -> httpx.Timeout:
        return httpx.Timeout(self._timeout, read=self._timeout + wait)

    def _patience(self) -> _Patience:
        return _Patience(self.url, self.patience if self._answered else 0)


class _Patience:
    """The time for which one request is repeated, with longer and longer pauses."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._deadline = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Return the seconds that are left; 0 if there are none."""
        return max(0.0, self._deadline - time.monotonic())

    def after(self, error: httpx.TransportError, *, may_repeat: bool) -> None:
        """Pause after an error; raise `Unreachable` if there is no time left."""
        why = f"{self._url} ({str(error) or type(error).__name__})"
        if not may_repeat:
            text = f"The connection to {why} was lost. The request may have arrived."
            raise Unreachable(text) from error
        if not self.left() or "CERTIFICATE" in str(error):
            text = f"No server answers at {why}. Check the address, and that the server runs."
            raise Unreachable(text) from error
        self.pause()

    def after_refusal(self, error: Unavailable) -> None:
        """Pause for as long as the server asks; raise the error if there is no time left."""
        if not self.left():
            raise error
        self.pause(error.retry_after)

    def pause(self, seconds: float | None = None) -> None:
        """Wait for so long, or a little longer than the last time."""
        wanted = self._pause if seconds is None else seconds
        time.sleep(min(wanted, self.left()))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def _checked(url: str) -> str:
    """Return an address without a slash at its end; raise `SettingsError` if it is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SettingsError(f"{url!r} is not an address ({error}).") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError(f"{url!r} is not an address such as http://localhost:5000.")
    if parsed.userinfo:
        raise SettingsError("Give a token instead of a password in the address.")
    return url.rstrip("/")


def as_document(response: httpx.Response, *fields: str) -> dict[str, Any]:
    """Return the object of an answer; raise `Unreachable` if it lacks a field."""
    found = as_json(response)
    if not isinstance(found, dict) or any(name not in found for name in fields):
        raise Unreachable(f"{response.url} is no Jobserver: its answer has other fields.")
    return found


def as_job(response: httpx.Response) -> dict[str, Any]:
    """Return the job of an answer."""
    return as_document(response, "_id", "state")


def as_json(response: httpx.Response) -> Any:
    """Return the JSON of an answer; raise `Unreachable` if something else answered."""
    try:
        return response.json()
    except ValueError as error:
        raise Unreachable(f"{response.url} is no Jobserver: its answer is not JSON.") from error
