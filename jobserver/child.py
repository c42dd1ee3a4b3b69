"""The process that runs scripts: ``python -m jobserver.child``, started and owned by a shepherd.

It loads the script table once, says that it is ready, and then does one thing after another:
``run`` a job, or ``check`` whether one could run. It knows no database and no secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from jobserver.guard import guarded

if TYPE_CHECKING:
    from jobserver.protocol import Message
    from jobserver.scripts.registry import Registry


def main() -> None:
    """Start the guard, and below it the child, on the pipes named on the command line."""
    commands, messages, output = (int(text) for text in sys.argv[1:4])
    guarded(partial(_work, commands, messages, output))


def _work(commands: int, messages: int, output: int) -> None:
    for stream in (1, 2):
        os.dup2(output, stream)
    for fd in (commands, messages, output):
        os.set_inheritable(fd, False)

    from jobserver.protocol import CUT_OFF, Broken, receive, send

    try:
        setup, listen = receive(commands), partial(receive, commands)
        worker = Worker(setup, partial(send, messages), listen, output)
        while True:
            worker.handle(receive(commands))
    except Broken:
        os._exit(CUT_OFF)


class Worker:
    """Carries out what the shepherd asks for.

    Parameters
    ----------
    setup : dict
        ``home``, ``scripts`` (the folder), ``modules``, and what `Permits.of` takes.
    send : callable
        Passes one message to the shepherd.
    listen : callable
        Waits for one message of the shepherd.
    output : int
        Descriptor of the pipe that takes what scripts print.
    """

    def __init__(
        self,
        setup: Message,
        send: Callable[[Message], None],
        listen: Callable[[], Message],
        output: int,
    ) -> None:
        from jobserver.execution import App
        from jobserver.scripts.registry import Permits, Registry, Sources

        self.home: str = setup["home"]
        self._send = send
        self._listen = listen
        self._pid = os.getpid()
        self._output = output
        sources = Sources.of(setup["scripts"], setup["modules"])
        self.registry: Registry = Registry.load(sources, Permits.of(setup))
        self.registry.run_on_init(App(setup))
        send({"op": "ready", **self.registry.describe()})

    def handle(self, message: Message) -> None:
        """Answer one message with one message, and with reports of progress before it."""
        answer = {"run": self._run, "check": self._check}[message["op"]](message)
        self._send(answer)

    def _check(self, message: Message) -> Message:
        from jobserver.errors import Problem
        from jobserver.execution import problems_of

        try:
            problems = problems_of(self.registry, message["script"], message["has_data"])
        except Exception as error:  # types of the script's own may raise anything
            text = f"its parameters cannot be checked: {type(error).__name__}: {error}"
            problems = [Problem("script", text)]
        return {"op": "checked", "problems": [vars(problem) for problem in problems]}

    def _run(self, message: Message) -> Message:
        from jobserver.attempt import Attempt
        from jobserver.execution import Link
        from jobserver.provenance import provenance

        self._send({"op": "begun"})
        if "plan" not in message:
            self._send({"op": "provenance", "provenance": provenance(self.registry, message)})
        link, home = Link(self._tell, self._ask), self.home
        return Attempt(self.registry, home, message, self._output, self._report, link).carry_out()

    def _tell(self, message: Message) -> None:
        """Pass on what a run tells; a copy that a script forked ends where it would speak."""
        if os.getpid() != self._pid:
            os._exit(0)
        self._send(message)

    def _ask(self, message: Message) -> Message:
        self._tell(message)
        return self._listen()

    def _report(self, fraction: float, text: str | None) -> None:
        self._send({"op": "progress", "fraction": fraction, "message": text})


if __name__ == "__main__":
    main()
