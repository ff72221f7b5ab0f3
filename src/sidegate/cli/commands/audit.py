"""`sidegate audit`: the audit trail, wherever it is (spec 5.6 to 5.8, 6.4)."""

import typer

from sidegate.cli.commands import audit_collecting, audit_reading, audit_verifying

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Read, verify and export the audit trail."""


app.command("tail", epilog=audit_reading.TAIL_EPILOG)(audit_reading.tail_command)
app.command("query", epilog=audit_reading.QUERY_EPILOG)(audit_reading.query_command)
app.command("verify", epilog=audit_verifying.EPILOG)(audit_verifying.verify_command)
app.command("export", epilog=audit_reading.EXPORT_EPILOG)(audit_reading.export_command)
app.command("sink", epilog=audit_collecting.SINK_EPILOG)(audit_collecting.sink_command)
app.command("prune", epilog=audit_collecting.PRUNE_EPILOG)(audit_collecting.prune_command)
