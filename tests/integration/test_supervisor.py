"""Several workers and who keeps them: what becomes of them when it is gone (spec 6.1, ``workers``)."""

import signal
import socket

from tests.integration.conftest import MakeSidecar
from tests.integration.sidecar import ROUTE_FILE
from tests.integration.waiting import eventually


def is_closed(port: int) -> bool:
    """Whether nobody listens on *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_workers_end_with_their_supervisor(make_sidecar: MakeSidecar) -> None:
    """Workers whose supervisor was killed finish and let go of ports and trails: the sidecar can be started again."""
    sidecar = make_sidecar(settings={"workers": 2}).start(workers=2)
    assert sidecar.ask("GET", ROUTE_FILE, who="ana").status == 200
    data, admin = sidecar.port, sidecar.admin
    sidecar.signal(signal.SIGKILL)
    sidecar.wait()
    eventually(lambda: is_closed(data) and is_closed(admin), "all processes of the sidecar have ended")
    sidecar.start(workers=2)
    assert sidecar.ask("GET", ROUTE_FILE, who="ana").status == 200
