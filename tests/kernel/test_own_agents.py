"""The agents that commands start for themselves: what is said of a run, the command says."""

import pytest
from fakes.own_network import in_own_network
from fakes.run_command import finished, line

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--", "true"],
        ["demo"],
        ["overhead", "--rounds", "1", "--", "sleep", "0.01"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_their_log_has_no_line_of_a_run(arguments: list[str]) -> None:
    done = finished(in_own_network(line(*arguments)))
    assert done.returncode == 0, done.stderr
    assert "agent.run:" not in done.stdout + done.stderr
