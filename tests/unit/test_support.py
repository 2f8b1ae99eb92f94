"""Three answers for each feature, and what follows from them."""

import errno
from pathlib import Path

import pytest
from fakes.confined import Confinement

from agent.streams.shared import kernel_files, privileges, support
from agent.streams.shared.causes import CannotCollect, cannot
from agent.streams.shared.support import Feature, Missing, Support, Unknown, require
from agent.streams.supervisor import features
from agent.streams.supervisor.features import FEATURES, REQUIRED

BOTH = 1 << privileges.CAP_BPF | 1 << privileges.CAP_PERFMON


def raising(error: Exception) -> Feature:
    def check() -> None:
        raise error

    return Feature("it", check)


def answers(*features: Feature) -> list[Support]:
    return [feature.support() for feature in features]


HAS = Feature("it", lambda: None, since="5.8")
LACKS = raising(cannot("no_btf", "none"))
MISSES = raising(Missing("why, and the cure"))
CANNOT_TELL = raising(Unknown("why not"))


def test_three_answers() -> None:
    assert HAS.support() == Support("it", "everything", "5.8", True)
    lacking = LACKS.support()
    assert (lacking.supported, lacking.code) == (False, "no_btf")
    assert "CONFIG_DEBUG_INFO_BTF" in lacking.reason
    assert MISSES.support() == Support("it", "everything", "", False, "", "why, and the cure")
    assert CANNOT_TELL.support() == Support("it", "everything", "", None, "", "why not")


def test_only_what_is_known_to_be_missing_is_a_cause() -> None:
    require(answers(HAS, CANNOT_TELL))
    with pytest.raises(CannotCollect) as raised:
        require(answers(HAS, CANNOT_TELL, LACKS, raising(cannot("no_bcc", "none"))))
    assert raised.value.code == "no_btf"


def test_a_limit_says_nothing_about_a_feature() -> None:
    short_of_files = raising(cannot("too_many_files", "32"))
    assert short_of_files.support().supported is None
    assert "32" in short_of_files.support().reason
    require(answers(short_of_files))


# --- the features themselves


class Machine(Confinement):
    """A Linux machine that has everything."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(patch, folder)
        patch.setattr(support.platform, "system", lambda: "Linux")
        patch.setattr(privileges, "effective_capabilities", lambda: BOTH)
        self.files = {}
        for name in ("PID_MAX", "POSSIBLE_CPUS", "ONLINE_CPUS", "BTF"):
            path = self.files[name] = folder / name
            path.write_bytes(kernel_files.BTF_MAGIC if name == "BTF" else b"1")
            patch.setattr(kernel_files, name, path)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def lacking() -> CannotCollect:
    with pytest.raises(CannotCollect) as raised:
        require(answers(*REQUIRED))
    return raised.value


def test_nothing_is_wrong_where_all_is_there(machine: Machine) -> None:
    require(answers(*REQUIRED))


def test_every_feature_is_named_once() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("is_final", "said", "asked"),
    [
        (True, [None], 1),
        (True, [Missing("not now"), None], 2),
        (True, [Unknown("later"), None], 2),
        (False, [None, None], 3),
    ],
)
def test_only_what_may_change_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, is_final: bool, said: list[Exception | None], asked: int
) -> None:
    asks = []

    def check() -> None:
        asks.append(True)
        if error := said[min(len(asks), len(said)) - 1]:
            raise error

    feature = Feature("a", check, is_final=is_final)
    monkeypatch.setattr(features, "FEATURES", (feature,))
    found = features.Found()
    support = [found.support()["a"] for _ in range(3)]
    assert len(asks) == asked
    assert support[-1] == feature.support()


def test_only_news_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "FEATURES", (HAS,))
    found = features.Found()
    assert found.news(found.support()) == (HAS.support(),)
    assert found.news(found.support()) is None
    monkeypatch.setattr(features, "FEATURES", (MISSES,))
    assert found.told() == (MISSES.support(),)
    assert found.news(found.support()) is None
    assert found.news({"it": HAS.support()}) == (HAS.support(),)


def test_not_linux(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support.platform, "system", lambda: "Darwin")
    assert lacking().code == "not_linux"
    assert "Darwin" in lacking().message


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        (0, "CAP_BPF and CAP_PERFMON are missing"),
        (1 << privileges.CAP_BPF, "CAP_PERFMON is missing"),
        (1 << privileges.CAP_PERFMON, "CAP_BPF is missing"),
        (BOTH, ""),
        (1 << privileges.CAP_SYS_ADMIN, ""),
    ],
)
def test_these_capabilities_are_enough_or_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, held: int, missing: str
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: held)
    if not missing:
        require(answers(*REQUIRED))
    else:
        assert lacking().code == "no_capability"
        assert lacking().message.startswith(f"{missing} (running as ")
        assert "sudo setpriv --reuid USER" in lacking().message


as_bounds = pytest.mark.parametrize(
    ("held", "outside", "named"),
    [
        (0, {privileges.CAP_BPF, privileges.CAP_PERFMON}, "CAP_BPF and CAP_PERFMON"),
        (0, {privileges.CAP_BPF}, "CAP_BPF"),
        (1 << privileges.CAP_BPF, {privileges.CAP_PERFMON}, "CAP_PERFMON"),
    ],
)


@as_bounds
def test_what_not_even_root_can_have_is_not_cured_by_root(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    held: int,
    outside: set[int],
    named: str,
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: held)
    machine.bound(*outside, privileges.CAP_SYS_ADMIN)
    assert lacking().code == "no_capability"
    said = f"(CapBnd in /proc/self/status) excludes {named}, so running as root does not help."
    assert said in lacking().message
    assert "CapabilityBoundingSet=" in lacking().message
    assert "sudo" not in lacking().message


def test_a_bounding_set_that_nobody_may_ask_for_excludes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: 0)
    machine.bound(unknown=True)
    assert lacking().code == "no_capability"
    assert "excludes" not in lacking().message
    assert "sudo" in lacking().message


@as_bounds
def test_root_helps_where_it_can_have_what_implies_the_others(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    held: int,
    outside: set[int],
    named: str,
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: held)
    machine.bound(*outside)
    assert lacking().code == "no_capability"
    assert f"excludes {named}, so no user can be given both here." in lacking().message
    assert lacking().message.endswith(
        " Run the agent as root, with CAP_SYS_ADMIN, which implies them and is in that set."
    )


@pytest.mark.parametrize("name", ["PID_MAX", "POSSIBLE_CPUS", "ONLINE_CPUS", "BTF"])
def test_each_file_is_needed(machine: Machine, name: str) -> None:
    path = machine.files[name]
    path.write_text("")
    assert f"{path} is empty" in lacking().message
    path.unlink()
    assert f"{path}: No such file" in lacking().message


def test_in_a_user_namespace_capabilities_are_not_enough(machine: Machine) -> None:
    machine.in_user_namespace(True)
    assert lacking().code == "user_namespace"


def test_in_a_user_namespace_capabilities_are_no_cure(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: 0)
    machine.in_user_namespace(True)
    assert lacking().code == "user_namespace"


def test_a_namespace_that_is_unknown_prevents_nothing(machine: Machine) -> None:
    machine.namespace.unlink()
    require(answers(*REQUIRED))
    found = {answer.feature: answer for answer in answers(*REQUIRED)}
    assert found["initial_user_namespace"].supported is None
    assert str(machine.namespace) in found["initial_user_namespace"].reason


def test_a_call_that_is_refused(machine: Machine) -> None:
    machine.calls_fail_with(errno.EPERM)
    machine.filtered()
    assert lacking().code == "kernel_refused"
    assert "seccomp" in lacking().message
