"""Build hook: the front ends travel inside wheel and sdist; an sdist or an editable install needs no npm."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FrontEnds(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del build_data
        root = Path(self.root)
        built = root / "src/forecourt/api/web/console/index.html"
        if version == "editable" or os.environ.get("FORECOURT_SKIP_WEB") == "1" or built.exists():
            return
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(
                "The front ends are not built and npm is missing. Install Node.js 20 with npm, or set "
                "FORECOURT_SKIP_WEB=1 to build a package without screens."
            )
        for step in (["ci", "--ignore-scripts"], ["run", "build"]):
            subprocess.run([npm, *step], cwd=root / "apps", check=True)  # noqa: S603
