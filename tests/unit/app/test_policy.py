"""What the policy of a process says about itself."""

from pathlib import Path

import pytest

from sidegate.app.policy import Policy, open_policy
from sidegate.app.policy_fingerprint import fingerprint_of
from sidegate.config.policy_file import read_document
from sidegate.config.settings import load_settings

ACME = "organization: acme\nmembers:\n  user:ana: {roles: [Member]}\n"
GLOBEX = "organization: globex\nmembers:\n  user:gus: {roles: [Member]}\n"


def policy_of(folder: Path, files: dict[str, str]) -> Policy:
    """Open a policy of *files*, whose content is by name."""
    (folder / "policy").mkdir(parents=True)
    for name, text in files.items():
        (folder / "policy" / name).write_text(text)
    (folder / "routes.yaml").write_text("- get: /healthz\n  public: true\n")
    config = folder / "sidegate.yaml"
    config.write_text("upstream: {url: http://127.0.0.1:9000}\nroutes: routes.yaml\npolicy: {source: 'dir:policy/'}\n")
    return open_policy(load_settings(config, {}), read_document)


@pytest.mark.parametrize(
    ("files", "is_same"),
    [
        pytest.param({"z.yaml": ACME, "a.yaml": GLOBEX}, True, id="other-names"),
        pytest.param({"a.yaml": f"# why\n{ACME}", "b.yaml": GLOBEX}, True, id="comment"),
        pytest.param({"a.yaml": ACME}, False, id="one-less"),
        pytest.param({"a.yaml": ACME.replace("ana", "bo"), "b.yaml": GLOBEX}, False, id="other-member"),
    ],
)
def test_the_fingerprint_tells_policies_apart(tmp_path: Path, files: dict[str, str], *, is_same: bool) -> None:
    """It follows from what the files mean, so that sidecars can be compared, and fits into a float."""
    here = policy_of(tmp_path / "here", {"a.yaml": ACME, "b.yaml": GLOBEX}).fingerprint()
    there = policy_of(tmp_path / "there", files).fingerprint()
    assert here is not None
    assert (here == there, here == int(float(here))) == (is_same, True)


def test_a_fingerprint_has_48_bits() -> None:
    """The first six bytes of the SHA-256 (here of nothing, FIPS 180-4)."""
    assert fingerprint_of(b"") == 0xE3B0C44298FC


def test_a_folder_does_not_grow_old(tmp_path: Path) -> None:
    """There is no age at which requests are refused."""
    assert policy_of(tmp_path, {"a.yaml": ACME}).age_limit is None
