"""`sidegate policy`: policies tested, compared, shown, published and changed (spec 6.4)."""

import typer

from sidegate.cli.commands import (
    policy_comparing,
    policy_patching,
    policy_publishing,
    policy_showing,
    policy_testing,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Test, compare, show, publish and patch policies."""


app.command("test", epilog=policy_testing.EPILOG)(policy_testing.run_tests_command)
app.command("diff", epilog=policy_comparing.EPILOG)(policy_comparing.diff_command)
app.command("show", epilog=policy_showing.EPILOG)(policy_showing.show_command)
app.command("publish", epilog=policy_publishing.EPILOG)(policy_publishing.publish_command)
app.command("patch", epilog=policy_patching.EPILOG)(policy_patching.patch_command)
