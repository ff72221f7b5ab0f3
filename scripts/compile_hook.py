"""Compiles the modules of the data path to C when Sidegate is installed with ``SIDEGATE_COMPILE=1``.

A hook of the build: ``SIDEGATE_COMPILE=1 pip install .`` makes a wheel in which the modules that ``pyproject.toml``
lists stand beside their compiled form, by mypyc, from the same source. It needs a C compiler. Without it, or on another
interpreter than it was built for, the same source runs as it is.

Run as a program it makes a compiled copy of the package, for the tests and for measurements:

    python scripts/compile_hook.py build/compiled && PYTHONPATH=build/compiled python -m pytest
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a program
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "SIDEGATE_COMPILE"

# In a process of its own: setuptools takes its wishes from the command line and from the working folder.
_BUILD = """
import sys
from mypyc.build import mypycify
from setuptools import setup
config, *modules = sys.argv[1:]
sys.argv[1:] = ["build_ext", "--inplace"]
setup(name="sidegate", ext_modules=mypycify(["--config-file", config, *modules], opt_level="3", group_name="sidegate"))
"""


class CompileHook(BuildHookInterface):  # type: ignore[misc]
    """Puts compiled modules into the wheel, if that is wished for."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs beside hatchling."""
        return ["mypy>=1.18", "setuptools>=75"] if _is_wished() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if version == "editable" or not _is_wished():
            return
        folder = Path(self.directory) / "compiled"
        for path in compile_into(folder):
            build_data["force_include"][str(path)] = path.relative_to(folder).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_into(folder: Path) -> list[Path]:
    """Copy the package to *folder* and compile it there; return the compiled modules."""
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "src", folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    modules = [f"sidegate/{name}.py" for name in hook["custom"]["modules"]]
    # The sources to be compiled are found where they are; the rest of the configuration is that of `make check`.
    environment = {**os.environ, "MYPYPATH": str(folder)}
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(ROOT / "pyproject.toml"), *modules], cwd=folder, env=environment, check=True
    )
    shutil.rmtree(folder / "build")
    return sorted(folder.rglob("*.so"))


def _is_wished() -> bool:
    return os.environ.get(VARIABLE) == "1"


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]).resolve())
