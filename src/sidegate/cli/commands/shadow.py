"""`sidegate shadow`: the candidate policy beside the enforced one (spec 4.4)."""

import typer

from sidegate.cli.commands import shadow_changing, shadow_reporting

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Try a candidate policy beside the enforced one: set, report, replay, promote, drop."""


app.command("set", epilog=shadow_changing.SET_EPILOG)(shadow_changing.set_command)
app.command("report", epilog=shadow_reporting.REPORT_EPILOG)(shadow_reporting.report_command)
app.command("replay", epilog=shadow_reporting.REPLAY_EPILOG)(shadow_reporting.replay_command)
app.command("promote", epilog=shadow_changing.PROMOTE_EPILOG)(shadow_changing.promote_command)
app.command("drop", epilog=shadow_changing.DROP_EPILOG)(shadow_changing.drop_command)
