"""pydantic without plugins.

Before its first model pydantic looks through all installed packages for plugins, which may then change what every model
does. That reads some files of each package at every start, and nobody but Sidegate is to say how its settings are read.
"""

import os

# pydantic's own switch, read when the first model is made.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # noqa: TID251  written, not read: no setting of ours
