"""What ``pyproject.toml`` cannot say: the wheel carries the template of a home.

In a checkout ``config.default`` and ``data/timeseries.csv`` lie at the top level, which is a home
itself. In the wheel they lie in ``jobserver/new_home``; ``jobserver.home.template`` finds either.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

TEMPLATE = ("config.default", "data/timeseries.csv")


class BuildWithTemplate(build_py):
    """Build the modules and lay the template of a home beside them."""

    def run(self) -> None:
        """Copy the template too, unless the install is editable and finds the checkout's own."""
        super().run()
        if self.editable_mode:
            return
        for name in TEMPLATE:
            target = Path(self.build_lib, "jobserver", "new_home", name)
            self.mkpath(str(target.parent))
            self.copy_file(name, str(target))


setup(cmdclass={"build_py": BuildWithTemplate})
