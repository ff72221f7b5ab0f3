"""`sidegate policy`: policies tested, compared, shown and published (spec 6.4)."""

import typer

from sidegate.cli.commands import policy_comparing, policy_publishing, policy_showing, policy_testing

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Test, compare, show and publish policies."""


app.command("test", epilog=policy_testing.EPILOG)(policy_testing.run_tests_command)
app.command("diff", epilog=policy_comparing.EPILOG)(policy_comparing.diff_command)
app.command("show", epilog=policy_showing.EPILOG)(policy_showing.show_command)
app.command("publish", epilog=policy_publishing.EPILOG)(policy_publishing.publish_command)
