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


def differences(here: Versions, workers: Mapping[str, Versions]) -> Iterator[str]:
    """Yield a sentence about each worker whose versions do not fit those of this server.

    Parameters
    ----------
    here : mapping
        Version of each package on this server, and of ``python``; None if it is missing.
    workers : mapping
        The same of each worker, by its address.
    """
    for address in sorted(workers):
        there = workers[address]
        if there.get(PACKAGE) is None:
            yield (
                f"the Dask worker at {address} has no Jobserver, and jobs that it gets stay "
                f'queued: pip install "{PACKAGE}[dask]=={here.get(PACKAGE)}" there'
            )
            continue
        if other := _other(here, there):
            text = "install the same versions on both sides"
            yield f"the Dask worker at {address} has {', '.join(other)}: {text}"
        if lacking := [name for name in _LIBRARIES if here.get(name) and not there.get(name)]:
            text = "which this server has: jobs that need it fail there"
            yield f"the Dask worker at {address} lacks {', '.join(lacking)}, {text}"


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
