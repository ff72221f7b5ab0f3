"""litmus against Apache's mod_dav. litmus knows no credential but passwords: an nginx in front of both adds one, as an
ingress would."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.transparency.comparing import sidecar_for
from tests.wire.real.servers import find_command, free_port, running

_PATH = "v1/orgs/acme/projects/p1/branches/x/files"
_MODULES = "/usr/lib/apache2/modules"


@contextmanager
def _apache(folder: Path) -> Iterator[int]:
    port = free_port()
    files = folder / "files" / _PATH
    files.mkdir(parents=True)
    loaded = ("mpm_event", "authz_core", "dav", "dav_fs")
    (folder / "httpd.conf").write_text(
        "".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so\n" for name in loaded)
        + f"ServerName x\nListen 127.0.0.1:{port}\nPidFile {folder}/httpd.pid\nErrorLog {folder}/error.log\n"
        f"DefaultRuntimeDir {folder}\nMutex pthread\nUseCanonicalName Off\nUseCanonicalPhysicalPort Off\n"
        f"DocumentRoot {folder}/files\nDavLockDB {folder}/locks\n<Directory {folder}/files>\nDav On\n</Directory>\n"
    )
    with running([find_command("apache2"), "-X", "-f", str(folder / "httpd.conf")], folder, port):
        yield port


@contextmanager
def _adding(folder: Path, behind: int, token: str) -> Iterator[int]:
    port = free_port()
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; client_max_body_size 0;\n"
        f"location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_request_buffering off;\n"
        f'proxy_set_header Host $http_host; proxy_set_header Authorization "Bearer {token}"; }} }} }}\n'
    )
    with running([find_command("nginx"), "-c", str(folder / "nginx.conf"), "-e", f"{folder}/error.log"], folder, port):
        yield port


def _litmus(folder: Path, port: int) -> list[str]:
    folder.mkdir()
    command = ["litmus", "--keep-going", f"http://127.0.0.1:{port}/{_PATH}/dav/"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    lines = [line.rpartition("\r")[2] for line in done.stdout.splitlines()]
    return [re.sub(r"127\.0\.0\.1:[0-9]+", "HOST", line).rstrip() for line in lines]


def compare(folder: Path) -> tuple[int, list[str]]:
    """Run litmus without Sidegate and with it; return the number of its tests and the lines that differ."""
    found = []
    for name in ("direct", "through"):
        (folder / name).mkdir()
        with _apache(folder / name) as apache, sidecar_for(folder / name, apache) as (sidecar, token):
            (folder / name / "files" / _PATH / "dav").mkdir()
            behind = apache if name == "direct" else sidecar.port
            with _adding(folder / name / "nginx", behind, token) as port:
                found.append(_litmus(folder / name / "litmus", port))
    tests = sum(int(count) for count in re.findall(r"of ([0-9]+) tests run", "\n".join(found[1])))
    differing = [f"{one!r}, and {other!r} with Sidegate" for one, other in zip(*found, strict=False) if one != other]
    if len(found[0]) != len(found[1]):
        differing.append(f"{len(found[0])} lines, and {len(found[1])} with Sidegate")
    shutil.rmtree(folder / "through" / "litmus")
    summaries = [line for line in found[1] if line.startswith("<-")]
    assert tests > 0, found
    return tests, differing or [f"note: {line}" for line in summaries if "100.0%" not in line]
