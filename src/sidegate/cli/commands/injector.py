"""`sidegate injector`: the webhook that puts the sidecar into pods."""

from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.cli.arguments import parse_duration, read_value
from sidegate.config.endpoints import parse_tcp
from sidegate.injector.definition import default_definition, read_definition
from sidegate.injector.server import Options, run

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MILLIS_PER_SECOND: Final = 1000

_EPILOG: Final = """
\b
Examples:
  sidegate injector --cert tls.crt --key tls.key
  sidegate injector --cert tls.crt --key tls.key --listen 0.0.0.0:8443 --health 0.0.0.0:9090 --sidecar sidecar.json
"""


@app.command("injector", epilog=_EPILOG)
def injector_command(
    *,
    cert: Annotated[Path, typer.Option("--cert", metavar="FILE", help="Certificate chain, PEM.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Its private key, PEM.")],
    listen: Annotated[str, typer.Option("--listen", metavar="ADDRESS", help="For the API server.")] = "127.0.0.1:8443",
    health: Annotated[
        str, typer.Option("--health", metavar="ADDRESS", help="For probes and Prometheus.")
    ] = "127.0.0.1:9090",
    client_ca: Annotated[
        Path | None,
        typer.Option(
            "--client-ca", metavar="FILE", help="CA of the API server's certificate, PEM: nobody else may ask."
        ),
    ] = None,
    sidecar: Annotated[
        Path | None,
        typer.Option(
            "--sidecar",
            metavar="FILE",
            help="What is put in, as the chart renders it.  [default: the chart's]",
            show_default=False,
        ),
    ] = None,
    linger: Annotated[
        str, typer.Option("--linger", metavar="DURATION", help="How long it goes on answering after SIGTERM.")
    ] = "5s",
) -> int:
    """Start the webhook that puts the sidecar into pods.

    Answers AdmissionReviews (admission.k8s.io/v1) on `POST /inject`. The certificate is followed: a renewed one is in
    force without a restart. Numbers and health are on a port of their own, `/metrics`, `/livez` and `/readyz`. Serves
    until SIGTERM; a second one ends at once.
    """
    linger_ms = read_value("--linger", linger, parse_duration)
    options = Options(
        listen=read_value("--listen", listen, parse_tcp),
        health=read_value("--health", health, parse_tcp),
        cert=cert,
        key=key,
        client_ca=client_ca,
        definition=default_definition() if sidecar is None else read_definition(sidecar),
        linger_s=linger_ms / _MILLIS_PER_SECOND,
    )
    return run(options)
