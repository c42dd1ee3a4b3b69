"""The script table: which functions jobs may call, by which name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from jobserver.errors import JobNotRunnable, Problem
from jobserver.scripts.loading import LeaseMonitor, load_modules, stamps, unwatched
from jobserver.scripts.permissions import ScriptPermissions
from jobserver.scripts.script import MISSING, Script
from jobserver.scripts.signature import parameters_of
from jobserver.scripts.version import base_packages, version_of
from jobserver.scripts.wording import explain, shown

__all__ = ["MISSING", "Registry", "Script", "ScriptPermissions", "ScriptSources"]

HOOK = "on_init"


@dataclass(frozen=True)
class ScriptSources:
    """Where scripts come from, besides the shipped ones and the installed entry points.

    Attributes
    ----------
    folder : Path or None
        Folder of the home's scripts; it need not exist.
    modules : tuple of str
        Modules to import by name: the setting ``SCRIPT_MODULES``.
    """

    folder: Path | None
    modules: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, folder: str | Path | None, modules: Iterable[str] = ()) -> ScriptSources:
        """The sources as a message between processes spells them."""
        return cls(None if folder is None else Path(folder), tuple(modules))


class Registry:
    """The script table of one process. Make it with `Registry.load`.

    Parameters
    ----------
    sources : ScriptSources
        Where scripts come from.
    modules : dict of str to module
        The loaded modules by name.
    errors : list of dict
        ``module`` and ``error`` of those that could not be loaded.

    Attributes
    ----------
    errors : list of dict
        The same, and what else is wrong with modules.
    failed : list of str
        Modules that are left out since they cannot be loaded.
    permits : ScriptPermissions
        What may run beside the scripts of the table.
    """

    permits = ScriptPermissions()

    def __init__(
        self,
        sources: ScriptSources,
        modules: dict[str, ModuleType],
        errors: list[dict[str, str]],
    ) -> None:
        self._sources = sources
        self._folder = _absolute(sources.folder)
        self._modules = modules
        self.errors = errors
        self.failed: list[str] = []
        self._owners: dict[str, list[str]] = {}
        self._table: dict[str, Script] = {}
        found = list(self._functions())
        for module, name, _ in found:
            self._owners.setdefault(name, []).append(module)
        for module, name, func in found:
            full = f"{module}.{name}"
            shortest = full if len(self._owners[name]) > 1 else name
            self._table[full] = self._table[shortest] = Script(
                shortest, module, func, version_of(func)
            )

    @classmethod
    def load(
        cls,
        sources: ScriptSources,
        permits: ScriptPermissions | None = None,
        *,
        skip: Collection[str] = (),
        last: Collection[str] = (),
        watch: LeaseMonitor = unwatched,
    ) -> Registry:
        """Import all sources; what fails is listed by `describe` and breaks nothing else.

        Parameters
        ----------
        sources : ScriptSources
            Where scripts come from.
        permits : ScriptPermissions, optional
            What may run beside them; nothing by default.
        skip : collection of str
            Modules that are not imported.
        last : collection of str
            Modules that are imported last.
        watch : callable
            Is entered with the name of each module while it is imported.
        """
        folder = _absolute(sources.folder)
        files = stamps(folder)
        loaded = load_modules(
            folder, files, sources.modules, only=lambda n: n not in skip, last=last, watch=watch
        )
        registry = cls(sources, *loaded)
        registry.permits = permits or cls.permits
        return registry

    def completed(self, apart: Collection[str], names: Iterable[object], app: object) -> Registry:
        """The table with further modules in it, where one of some scripts is not known without.

        Parameters
        ----------
        apart : collection of str
            Modules that were skipped, to be imported now.
        names : iterable of str
            The scripts that are wanted.
        app : object
            Passed on to their hooks `on_init`.
        """
        registry, wanted = self, list(names)
        for module in apart:
            if not all(name in registry._table for name in wanted):
                registry = registry._with(module)
                registry.run_on_init(app, only=[module])
        return registry

    def _with(self, module: str) -> Registry:
        """The table with a further module in it."""
        folder = self._folder
        modules, errors = load_modules(
            folder, stamps(folder), self._sources.modules, only=module.__eq__
        )
        registry = Registry(self._sources, self._modules | modules, self.errors + errors)
        registry.permits = self.permits
        return registry

    def warm_up(self) -> None:
        """Make what each run of a script would make anew: how it is called, what it builds on."""
        base_packages()
        for script in set(self._table.values()):
            with suppress(Exception):  # types of a script's own may raise anything; its run tells
                _ = script.signature, script.packages

    def modules(self) -> dict[str, str]:
        """The module of each script, by the names that jobs call it by."""
        return {name: script.module for name, script in self._table.items()}

    def describe(self) -> dict[str, Any]:
        """All scripts by name, and the modules that failed, fit for JSON."""
        scripts = {script.name: script for script in self._table.values()}
        described = [scripts[name].describe() for name in sorted(scripts)]
        return {"scripts": described, "errors": list(self.errors)}

    def lookup(self, name: object) -> Script:
        """The script of a name.

        Parameters
        ----------
        name : str
            ``function``, or ``module.function``, which is always unique. Anything that is no text
            is refused as unknown.

        Raises
        ------
        JobNotRunnable
            If there is none, or several; the message names the nearest.
        """
        script = self._table.get(name) if isinstance(name, str) else None
        if script is None:
            problem = self._why_not(name)
            raise JobNotRunnable(f"The script {problem}", [Problem("script.name", problem)])
        return script

    def run_on_init(
        self, app: object, watch: LeaseMonitor = unwatched, only: Collection[str] | None = None
    ) -> None:
        """Call the hook ``on_init(app)`` of every module; failures are listed by `describe`.

        Parameters
        ----------
        app : object
            Passed on to the hooks.
        watch : callable
            Is entered with the name of each module while its hook runs.
        only : collection of str, optional
            The modules whose hooks are called.
        """
        for name, module in self._modules.items():
            hook = vars(module).get(HOOK)
            if hook is None or not _is_own(module, HOOK, hook):
                continue
            if only is not None and name not in only:
                continue
            try:
                with watch(name, f"{HOOK} of"):
                    hook(app)
            except BaseException as error:  # user code may raise anything, SystemExit too
                text = f"{HOOK}: {explain(error, self._folder)}"
                self.errors.append({"module": name, "error": text})

    def _functions(self) -> Iterator[tuple[str, str, Callable[..., Any]]]:
        for module_name, module in self._modules.items():
            for name, value in list(vars(module).items()):
                if name.startswith("_") or name == HOOK or not _is_own(module, name, value):
                    continue
                if error := self._unusable(value):
                    self.errors.append({"module": module_name, "error": f"{name}: {error}"})
                else:
                    yield module_name, name, value

    def _unusable(self, func: Callable[..., Any]) -> str:
        if inspect.iscoroutinefunction(func):
            return "is async: make it a plain function that calls asyncio.run"
        try:
            parameters_of(func)
        except Exception as error:  # telling them may run user code
            return explain(error, self._folder)
        return ""

    def _why_not(self, name: object) -> str:
        owners = self._owners.get(name, []) if isinstance(name, str) else []
        if owners:
            names = " or ".join(f"{owner}.{name}" for owner in owners)
            return f"{name} exists more than once: write {names}."
        close = get_close_matches(name[:100], self._table, n=3) if isinstance(name, str) else []
        hint = f" Did you mean {' or '.join(close)}?" if close else " GET /scripts lists them."
        wrong = [*(error["module"] for error in self.errors), *self.failed]
        failed = ", ".join(dict.fromkeys(wrong))
        failures = f" Modules with errors: {failed}." if failed else ""
        return f"{shown(name)} is unknown.{hint}{failures}"


def _absolute(folder: Path | None) -> Path | None:
    return folder.resolve() if folder else None


def _is_own(module: ModuleType, name: str, value: Any) -> bool:
    """Whether a value is a function that the module defines, or exports from its submodules."""
    if not _is_function(value):
        return False
    home, exported = str(value.__module__), getattr(module, "__all__", None)
    inside = home.startswith(f"{module.__name__}.")
    return home == module.__name__ or (
        inside and isinstance(exported, list | tuple) and name in exported
    )


def _is_function(value: Any) -> bool:
    """Whether it is a function, or a wrapper around one, such as that of `functools.cache`."""
    # getattr_static: a proxy must not be asked, it may raise anything.
    wrapped = inspect.getattr_static(value, "__wrapped__", None)
    if isinstance(value, type) or not callable(value):
        return False
    return FunctionType in (type(value), type(wrapped))
