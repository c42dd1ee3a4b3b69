"""The script table: the functions that jobs can call, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

from jobserver.errors import Advised, JobNotRunnable, Problem, similar_names
from jobserver.scripts.loading import ModuleWatch, explain, load_modules, stamps, unwatched
from jobserver.scripts.script import Script
from jobserver.scripts.signature import parameters_of
from jobserver.scripts.version import base_packages, version_of
from jobserver.scripts.wording import shortened
from jobserver.sizes import MIB
from jobserver.system.protocol import Message, Setup

HOOK = "on_init"


class App:
    """What the hook `on_init` of a module gets.

    Attributes
    ----------
    home : str
        Folder of the server.
    config : dict
        Settings, without secrets.
    runs : bool
        Whether this process will run scripts. One process only inspects and checks them: there is
        nothing to load for runs.
    """

    def __init__(self, setup: Setup) -> None:
        self.home: str = setup["home"]
        self.config: dict[str, object] = setup["config"]
        self.runs: bool = setup["runs"]


@dataclass(frozen=True)
class ScriptPermissions:
    """What jobs may run besides the functions of the script table, as set by an administrator.

    Attributes
    ----------
    files : Path or None
        Folder of the executables, if jobs may run them.
    code : bool
        Whether jobs may run code that they contain.
    output : int
        Bytes of each stream of an executable that the result keeps.
    """

    files: Path | None = None
    code: bool = False
    output: int = MIB

    @classmethod
    def from_setup(cls, setup: Setup) -> ScriptPermissions:
        """Return the permissions from a message between processes."""
        files = setup["files"]
        return cls(Path(files) if files else None, setup["code"], setup["output"])

    def problems(self, kind: str) -> list[Problem]:
        """Return why scripts of a type, ``file`` or ``eval``, may not run; empty if they may."""
        if kind == "file" and self.files is None:
            setting = "PROCESS_FILE_ALLOWED"
        elif kind == "eval" and not self.code:
            setting = "PROCESS_EVAL_ALLOWED"
        else:
            return []
        why = f"{kind} is switched off: an administrator must set {setting}"
        return [Problem("script.type", why)]

    def folder(self) -> Path:
        """Return the folder of the executables.

        Raises
        ------
        JobNotRunnable
            If jobs may not run files.
        """
        problems = self.problems("file")
        if problems or self.files is None:
            raise JobNotRunnable("The job cannot run.", problems)
        return self.files


@dataclass(frozen=True)
class ScriptSources:
    """Where scripts come from, besides the shipped ones and the installed entry points.

    Attributes
    ----------
    folder : Path or None
        Folder of the home's scripts; may be missing.
    modules : tuple of str
        Modules to import by name: the setting ``SCRIPT_MODULES``.
    """

    folder: Path | None
    modules: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, folder: str | Path | None, modules: Iterable[str] = ()) -> ScriptSources:
        """Return the sources from settings or from a message between processes."""
        return cls(None if folder is None else Path(folder), tuple(modules))


class Registry:
    """The script table of one process; create it with `Registry.load`.

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
        The same, and other errors of modules.
    failed : list of str
        Modules that are left out because they cannot be loaded.
    permissions : ScriptPermissions
        What may run besides the scripts of the table.
    """

    permissions = ScriptPermissions()

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
        permissions: ScriptPermissions | None = None,
        *,
        skip: Collection[str] = (),
        last: Collection[str] = (),
        watch: ModuleWatch = unwatched,
    ) -> Registry:
        """Import all sources; `describe` lists those that fail, which do not affect the others.

        Parameters
        ----------
        sources : ScriptSources
            Where scripts come from.
        permissions : ScriptPermissions, optional
            What may run besides them; nothing by default.
        skip : collection of str
            Modules not to import.
        last : collection of str
            Modules to import last.
        watch : callable
            Entered while each module is imported.
        """
        folder = _absolute(sources.folder)
        files = stamps(folder)
        loaded = load_modules(
            folder, files, sources.modules, only=lambda n: n not in skip, last=last, watch=watch
        )
        registry = cls(sources, *loaded)
        registry.permissions = permissions or cls.permissions
        return registry

    def completed(self, apart: Collection[str], names: Iterable[object], app: object) -> Registry:
        """Return a table that knows some scripts, importing skipped modules if necessary.

        Parameters
        ----------
        apart : collection of str
            The skipped modules.
        names : iterable of str
            The scripts.
        app : object
            Passed to their hooks `on_init`.
        """
        registry, wanted = self, list(names)
        for module in apart:
            if not all(name in registry._table for name in wanted):
                registry = registry._with(module)
                registry.run_on_init(app, only=[module])
        return registry

    def _with(self, module: str) -> Registry:
        """Return the table with an additional module."""
        folder = self._folder
        modules, errors = load_modules(
            folder, stamps(folder), self._sources.modules, only=module.__eq__
        )
        registry = Registry(self._sources, self._modules | modules, self.errors + errors)
        registry.permissions = self.permissions
        return registry

    def warm_up(self) -> None:
        """Cache the signature and packages of each script, which every run needs."""
        base_packages()
        for script in set(self._table.values()):
            with suppress(Exception):  # a script's own types may raise anything; its run reports it
                _ = script.signature, script.packages

    def modules(self) -> dict[str, str]:
        """Return the module of each script, by every name of the script."""
        return {name: script.module for name, script in self._table.items()}

    def versions(self) -> dict[str, str | None]:
        """Return the version of each script, by every name of the script."""
        return {name: script.version for name, script in self._table.items()}

    def describe(self) -> Message:
        """Return all scripts by name, and the errors of modules, as JSON-compatible values."""
        scripts = {script.name: script for script in self._table.values()}
        described = [scripts[name].describe() for name in sorted(scripts)]
        return {"scripts": described, "errors": list(self.errors)}

    def lookup(self, name: object) -> Script:
        """Return the script of a name.

        Parameters
        ----------
        name : str
            ``function``, or ``module.function``, which is always unique.

        Raises
        ------
        JobNotRunnable
            If there is no script of that name, or more than one; the message suggests others.
        """
        script = self._table.get(name) if isinstance(name, str) else None
        if script is None:
            problem = self._why_not(name)
            raise JobNotRunnable(f"The script {problem}", [Problem("script.name", problem)])
        return script

    def run_on_init(
        self, app: object, watch: ModuleWatch = unwatched, only: Collection[str] | None = None
    ) -> None:
        """Call the hook ``on_init(app)`` of every module; `describe` lists those that fail.

        Parameters
        ----------
        app : object
            Passed to the hooks.
        watch : callable
            Entered while each hook runs.
        only : collection of str, optional
            The modules whose hooks to call.
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

    def _functions(self) -> Iterator[tuple[str, str, Callable[..., object]]]:
        for module_name, module in self._modules.items():
            for name, value in list(vars(module).items()):
                if name.startswith("_") or name == HOOK or not _is_own(module, name, value):
                    continue
                if error := self._unusable(value):
                    self.errors.append({"module": module_name, "error": f"{name}: {error}"})
                else:
                    yield module_name, name, value

    def _unusable(self, func: Callable[..., object]) -> str:
        try:
            parameters_of(func)
        except Exception as error:  # inspecting them may run user code
            return explain(error, self._folder)
        return ""

    def _why_not(self, name: object) -> str:
        owners = self._owners.get(name, []) if isinstance(name, str) else []
        if owners:
            names = " or ".join(f"{owner}.{name}" for owner in owners)
            return f"{name} exists more than once: use {names}."
        failed = [*(error["module"] for error in self.errors), *self.failed]
        return unknown_script(name, self._table, failed)


def unknown_script(name: object, known: Iterable[str], failed: Iterable[str]) -> str:
    """Return that a script is unknown, and what to do; it continues "The script".

    Parameters
    ----------
    known : iterable of str
        The names of all scripts.
    failed : iterable of str
        The modules that could not be loaded.
    """
    close = similar_names(name, known, 3)
    hint = f" Did you mean {close}?" if close else ""
    names = ", ".join(dict.fromkeys(failed))
    failures = f" Modules with errors: {names}." if names else ""
    text = f"{shortened(name)} is unknown.{hint}{failures}"
    return text if close else Advised(text, "GET /scripts lists them.")


def _absolute(folder: Path | None) -> Path | None:
    return folder.resolve() if folder else None


def _is_own(module: ModuleType, name: str, value: object) -> bool:
    """Whether a value is a function that the module defines or exports from its submodules."""
    if not _is_function(value):
        return False
    home, exported = str(value.__module__), getattr(module, "__all__", None)
    inside = home.startswith(f"{module.__name__}.")
    return home == module.__name__ or (
        inside and isinstance(exported, list | tuple) and name in exported
    )


def _is_function(value: object) -> bool:
    """Whether it is a function or a wrapper of one, such as that of `functools.cache`."""
    # getattr_static: a proxy's own lookup may raise anything.
    wrapped = inspect.getattr_static(value, "__wrapped__", None)
    if isinstance(value, type) or not callable(value):
        return False
    return FunctionType in (type(value), type(wrapped))
