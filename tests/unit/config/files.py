"""A configuration folder to try things in."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sidegate.config.settings import Settings, load_settings
from sidegate.core.model.errors import ConfigError

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"
SIGNED = "sessions: {signed: {issuer: https://i, jwks: file:jwks.json, algorithms: [RS256]"


class Folder:
    """Holds ``sidegate.yaml`` and what it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "policy").mkdir()
        (path / "routes.yaml").write_text("[]")
        (path / "jwks.json").write_text("{}")

    @property
    def file(self) -> Path:
        """The configuration file."""
        return self.path / "sidegate.yaml"

    def load(
        self, text: str = UPSTREAM, environment: Mapping[str, str] = {}, overrides: Mapping[str, str] = {}
    ) -> Settings:
        """Write *text* and load it."""
        self.file.write_text(text)
        return load_settings(self.file, environment, overrides)

    def problems(
        self, text: str = UPSTREAM, environment: Mapping[str, str] = {}, overrides: Mapping[str, str] = {}
    ) -> list[str]:
        """Load *text*, which has to fail, and return what is wrong; the folder is left out of it."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, environment, overrides)
        return [str(problem).replace(f"{self.path}/", "") for problem in caught.value.problems]
