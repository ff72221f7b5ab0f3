"""`sidegate inject`: puts the sidecar into manifests, as the webhook would."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from sidegate.cli.exit_codes import DataError, ExitCode, UsageError
from sidegate.cli.output import complain, printable, show_json
from sidegate.injector.annotations import ENABLED, INJECT, MEANINGS, PREFIX
from sidegate.injector.definition import default_definition, read_definition
from sidegate.injector.manifests import Document, UnreadableError, read_documents
from sidegate.injector.offline import OfflineRefusedError, Told, inject_documents, uninject_documents
from sidegate.injector.shape import MalformedError, RefusedError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EPILOG: Final = """
\b
Examples:
  sidegate inject < deployment.yaml | kubectl apply --filename -
  sidegate inject --enable --annotate config=datastore --filename deployment.yaml --filename service.yaml
  kubectl get deployment datastore --output yaml | sidegate inject --uninject | kubectl apply --filename -
"""


@app.command("inject", epilog=_EPILOG)
def inject_command(
    *,
    filename: Annotated[
        list[Path] | None,
        typer.Option(
            "--filename", "-f", metavar="FILE", help="Manifest.  [default: standard input]", show_default=False
        ),
    ] = None,
    enable: Annotated[
        bool, typer.Option("--enable", help=f"Add `{INJECT}: {ENABLED}` to pods that do not say; lead their Services.")
    ] = False,
    annotate: Annotated[
        list[str] | None,
        typer.Option(
            "--annotate", metavar="NAME=TEXT", help=f"Add `{PREFIX}NAME: TEXT` to pods that have no such annotation."
        ),
    ] = None,
    sidecar: Annotated[
        Path | None,
        typer.Option(
            "--sidecar",
            metavar="FILE",
            help="`sidecar.json` of an injector.  [default: the chart's]",
            show_default=False,
        ),
    ] = None,
    native: Annotated[
        bool | None,
        typer.Option(
            "--native/--classic", help="An init container that stays, or an ordinary container.", show_default=False
        ),
    ] = None,
    kubernetes: Annotated[
        str | None,
        typer.Option(
            "--kubernetes", metavar="VERSION", help="Native from 1.29 on, classic before.", show_default=False
        ),
    ] = None,
    uninject: Annotated[bool, typer.Option("--uninject", help="Take the sidecar out again.")] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="json", help="JSON in place of what was read.", show_default=False),
    ] = None,
) -> int:
    """Put the sidecar into manifests, as the injector would.

    Reads Pods, Deployments, StatefulSets, DaemonSets, Jobs, CronJobs, Services and Lists of them, and prints them with
    the sidecar in those that are annotated `sidegate.dev/inject: enabled`. All else comes out as it went in. What is
    done, and what is left to do, is told on the error stream. Exit code 1 if there was nothing to do, 65 if something
    cannot be done; nothing is printed then.
    """
    if output not in {None, "json", "yaml"}:
        raise UsageError(f"--output: `{output}` is none; write json, or leave it out")
    annotations = _annotations(annotate or [], is_enabled=enable)
    documents = [document for file in filename or [Path("-")] for document in _read(file)]
    definition = default_definition() if sidecar is None else read_definition(sidecar)
    is_native = _is_native(kubernetes) if kubernetes is not None else native
    if is_native is not None:
        definition = definition.model_copy(update={"native": is_native})
    try:
        told = uninject_documents(documents) if uninject else inject_documents(documents, definition, annotations)
    except OfflineRefusedError as error:
        for about, one in error.refused:
            _complain(about, one)
        raise DataError(f"{len(error.refused)} refused; nothing was printed") from error
    except (MalformedError, UnreadableError) as error:
        raise DataError(str(error)) from error
    _print(documents, is_json=output == "json")
    return _tell(told)


def _read(file: Path) -> list[Document]:
    label = "standard input" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"--filename: {file} cannot be read: {error.strerror}") from None
    try:
        return read_documents(content, label)
    except UnreadableError as error:
        raise DataError(printable(str(error))) from error


def _annotations(given: list[str], *, is_enabled: bool) -> dict[str, str]:
    annotations = {INJECT: ENABLED} if is_enabled else {}
    for one in given:
        name, equals, text = one.partition("=")
        name = name.removeprefix(PREFIX)
        if not equals or name not in MEANINGS:
            raise UsageError(f"--annotate: `{one}` is none; write NAME=TEXT with one of {', '.join(MEANINGS)}")
        annotations[PREFIX + name] = text
    return annotations


_NATIVE_SINCE: Final = (1, 29)


def _is_native(version: str) -> bool:
    major, _, rest = version.removeprefix("v").partition(".")
    minor = rest.partition(".")[0].rstrip("+")
    if not (major.isdecimal() and minor.isdecimal()):
        raise UsageError(f"--kubernetes: `{version}` is no version; write it like 1.33")
    return (int(major), int(minor)) >= _NATIVE_SINCE


def _complain(about: str, error: RefusedError | MalformedError) -> None:
    lines = [str(problem) for problem in error.problems] if isinstance(error, RefusedError) else [str(error)]
    for line in lines:
        complain(printable(f"{about}: {line}"))


def _print(documents: list[Document], *, is_json: bool) -> None:
    if not is_json:
        texts = [document.text() for document in documents]
        for before, text in zip(["", *texts], texts, strict=False):
            # Files that are put together need a line between them.
            if before and not text.startswith("---"):
                sys.stdout.write("---\n" if before.endswith("\n") else "\n---\n")
            sys.stdout.write(text)
        return
    plain = [data for document in documents if (data := document.plain()) is not None]
    show_json(plain[0] if len(plain) == 1 else {"apiVersion": "v1", "kind": "List", "items": plain})


def _tell(told: list[Told]) -> int:
    for one in told:
        complain(printable(f"{one.about}: {one.text}"))
    if not told:
        complain("nothing here has pods")
    return ExitCode.OK if any(one.is_done for one in told) else ExitCode.NO
