"""What the processes of a Dask cluster have installed, compared with this server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

PACKAGE = "jobserver-rest"
#: Packages that scripts and data files may need.
_LIBRARIES = ("numpy", "pandas", "h5netcdf", "h5py", "openpyxl", "pyarrow", "xarray", "matplotlib")
#: Packages to ask every process for, beside those that Dask reports by itself.
ASKED = (PACKAGE, *_LIBRARIES)
_SAME = (PACKAGE, "dask", "distributed")

Versions = Mapping[str, str | None]


def differences(here: Versions, workers: Mapping[str, Versions]) -> dict[str, str]:
    """Return what does not fit this server, each with the address of a worker that has it.

    Parameters
    ----------
    here : mapping
        Version of each package on this server, and of ``python``; None if it is missing.
    workers : mapping
        The same of each worker, by its address.
    """
    return {
        problem: address for address in sorted(workers) for problem in _of(here, workers[address])
    }


def _of(here: Versions, there: Versions) -> Iterator[str]:
    """Yield what is wrong with a worker."""
    if there.get(PACKAGE) is None:
        yield (
            "has no Jobserver, and jobs that it gets stay queued: "
            f'pip install "{PACKAGE}[dask]=={here.get(PACKAGE)}" there'
        )
        return
    if other := _other(here, there):
        yield f"has {', '.join(other)}: install the same versions on both sides"
    if lacking := [name for name in _LIBRARIES if here.get(name) and not there.get(name)]:
        text = "which this server has: jobs that need it fail there"
        yield f"lacks {', '.join(lacking)}, {text}"


def _other(here: Versions, there: Versions) -> list[str]:
    """Return what differs: the minor version of Python, and packages that talk to each other."""
    ours = {"python": _minor(here), **{name: here.get(name) for name in _SAME}}
    theirs = {"python": _minor(there), **{name: there.get(name) for name in _SAME}}
    return [
        f"{name} {theirs[name]}, unlike {ours[name]} here"
        for name in ours
        if theirs[name] != ours[name]
    ]


def _minor(versions: Versions) -> str:
    return ".".join((versions.get("python") or "").split(".")[:2])
