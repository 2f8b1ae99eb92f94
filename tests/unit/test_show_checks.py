"""What ``show`` prints of the checks, and of a verdict that rests on them."""

from fakes.sample_evidence import evidence

from agent.show.text import render


def test_a_check_that_could_not_tell_is_told_from_one_that_passed() -> None:
    unsure = {"name": "softirq_NET_RX", "pass": True, "conclusive": False, "text": "Too little."}
    sure = {"name": "forks", "pass": True, "conclusive": True, "text": "Alike."}
    lines = render(evidence(checks=[unsure, sure])).splitlines()
    assert "Checks: 1 of 2 passed" in lines
    assert "  could not tell: softirq_NET_RX: Too little." in lines
    assert "  passed: forks" in lines


def test_a_failed_check_is_shown_apart_from_one_that_passed() -> None:
    lines = render(evidence()).splitlines()
    assert "Checks: 2 of 3 passed" in lines
    assert "  passed: context_switches, forks" in lines
    (failed,) = (line for line in lines if "failed:" in line)
    assert failed.startswith("  failed: run_queue_wait: 2 ms by the agent's account")
    assert "Checks" not in render(evidence(checks=[]))


def test_the_text_of_a_failed_check_is_not_repeated() -> None:
    checks = evidence()["checks"]
    reason = f"check_failed: run_queue_wait: {checks[1]['text']}"
    text = render(evidence(completeness={"verdict": "degraded", "reasons": [reason]}))
    assert "  - check_failed: run_queue_wait\n" in text
    assert " ".join(text.split()).count("Take the times of runqlat") == 1


def test_the_reason_of_a_failed_check_has_the_whole_name_of_the_check() -> None:
    reason = "check_failed: block_write_254:0: 12 requests by the agent's account"
    text = render(evidence(completeness={"verdict": "degraded", "reasons": [reason]}))
    assert "  - check_failed: block_write_254:0\n" in text


def test_a_failed_check_of_an_older_agent_says_its_figures() -> None:
    checks = evidence()["checks"]
    del checks[1]["text"]
    assert "failed: run_queue_wait: 2 ms, the kernel says 1 ms" in render(evidence(checks=checks))
