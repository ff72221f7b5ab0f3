"""The subject records of a whole document."""

from sidegate.core.model.authority import Authority, mask_of
from sidegate.core.model.principal import AccountState
from sidegate.core.model.target import ALL_PROJECTS
from sidegate.core.policy.document import BindingEntry, DenyEntry, MemberEntry, PolicyDocument
from sidegate.core.policy.records import DocumentRecords
from sidegate.core.policy.subject import SubjectRecord

READ = mask_of([Authority.READ])


def binding(binding_id: str, who: str) -> BindingEntry:
    """A binding of *who*."""
    return BindingEntry(binding_id, who, "Viewer", ALL_PROJECTS)


DOCUMENT = PolicyDocument(
    "acme",
    members=(
        MemberEntry("user:ana", AccountState.SUSPENDED, ("Operator", "Member", "Member"), ("g2", "g1", "g1")),
        MemberEntry("service:ana"),
    ),
    bindings=(binding("b2", "user:ana"), binding("b1", "user:ana"), binding("b3", "group:g1"), binding("b4", "user:x")),
    denies=(DenyEntry("d1", "service:ana", READ, ALL_PROJECTS), DenyEntry("d2", "role:Member", READ, ALL_PROJECTS)),
)


def test_a_record_holds_what_is_about_the_account_alone() -> None:
    """Sorted, so that two documents in another order give equal records."""
    expected = SubjectRecord(
        "user:ana",
        AccountState.SUSPENDED,
        ("Member", "Operator"),
        ("g1", "g2"),
        (DOCUMENT.bindings[1], DOCUMENT.bindings[0]),
    )
    assert expected == DocumentRecords(DOCUMENT).record_of("user:ana")


def test_users_and_services_of_one_name_are_apart() -> None:
    """The account is the whole of ``service:ana``."""
    record = DocumentRecords(DOCUMENT).record_of("service:ana")
    assert SubjectRecord("service:ana", denies=(DOCUMENT.denies[0],)) == record


def test_bindings_do_not_make_a_member() -> None:
    """Whoever is not under ``members`` is none (spec 1.5, 2)."""
    assert None is DocumentRecords(DOCUMENT).record_of("user:x")
    assert None is DocumentRecords(DOCUMENT).record_of("ana")


def test_all_members_are_listed() -> None:
    """Sorted."""
    assert DocumentRecords(DOCUMENT).accounts() == ("service:ana", "user:ana")
