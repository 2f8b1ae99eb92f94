"""Sums over processes that come and go: never too high, and exact if all were waited for."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agent.procfs.sums import Key, OfProcesses, OfThreads
from agent.procfs.task import Process


@dataclass
class Kernel:
    """Processes as the kernel keeps them, and the truth about all they did."""

    own: dict[int, int] = field(default_factory=lambda: {1: 5})
    inherited: dict[int, int] = field(default_factory=lambda: {1: 7})
    parents: dict[int, int] = field(default_factory=lambda: {1: 0})
    done: int = 0
    born: int = 1

    def work(self, pid: int, amount: int) -> None:
        self.own[pid] += amount
        self.done += amount

    def fork(self, pid: int) -> None:
        self.born += 1
        self.own[self.born], self.inherited[self.born] = 0, 0
        self.parents[self.born] = pid

    def end(self, pid: int, *, waited_for: bool) -> None:
        parent = self.parents.pop(pid)
        if waited_for and parent in self.own:
            self.inherited[parent] += self.own[pid] + self.inherited[pid]
        del self.own[pid], self.inherited[pid]
        for child, of in self.parents.items():
            if of == pid:
                self.parents[child] = 0

    def shown(self) -> dict[Key, Process]:
        return {
            (pid, pid): Process(self.parents[pid], pid, {"n": own + self.inherited[pid]})
            for pid, own in self.own.items()
        }


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["work", "fork", "wait", "ignore", "look"]),
        st.integers(0, 7),
        st.integers(0, 100),
    ),
    max_size=60,
)


def followed(steps: list[Step], *, every_end_is_waited_for: bool) -> tuple[int, int]:
    """Return what the looks add up to, and what was done. Process 1 is the root, and lives."""
    kernel, sums = Kernel(), OfProcesses()
    sums.take(kernel.shown(), kernel.shown())
    for what, which, amount in steps:
        living = [*kernel.own]
        pid = living[which % len(living)]
        if what == "work":
            kernel.work(pid, amount)
        elif what == "fork":
            kernel.fork(pid)
        elif what == "look":
            sums.take(kernel.shown())
        elif pid != 1:
            has_children = pid in kernel.parents.values()
            if every_end_is_waited_for and has_children:
                continue
            kernel.end(pid, waited_for=what == "wait" or every_end_is_waited_for)
    sums.take(kernel.shown())
    return sums.totals["n"], kernel.done


@given(STEPS)
def test_what_is_waited_for_is_all_counted_and_once(steps: list[Step]) -> None:
    counted, done = followed(steps, every_end_is_waited_for=True)
    assert counted == done


@given(STEPS)
def test_no_sum_is_higher_than_what_was_done(steps: list[Step]) -> None:
    counted, done = followed(steps, every_end_is_waited_for=False)
    assert 0 <= counted <= done


def test_a_child_that_is_handed_over_while_it_is_looked_at_counts_once() -> None:
    """The parent was read before the child ended, so it grows only at the next look."""
    sums = OfProcesses()
    sums.take({(1, 1): Process(0, 1, {"n": 0})}, {(1, 1)})
    sums.take({(1, 1): Process(0, 1, {"n": 0}), (2, 2): Process(1, 2, {"n": 10})})
    sums.take({(1, 1): Process(0, 1, {"n": 0})})
    sums.take({(1, 1): Process(0, 1, {"n": 12})})
    assert sums.totals["n"] == 12
    assert (sums.seen, sums.ended) == (2, 1)


def test_what_is_no_longer_shown_of_a_process_is_not_counted_again() -> None:
    """A program that sets its user hides what it reads; its parent, who waits, is handed it."""
    sums = OfProcesses()
    root = (1, 1)
    sums.take({root: Process(0, 1, {"io": 0})}, {root})
    sums.take({root: Process(0, 1, {"io": 0}), (2, 2): Process(1, 2, {"io": 10})})
    sums.take({root: Process(0, 1, {"io": 0}), (2, 2): Process(1, 2, {})})
    sums.take({root: Process(0, 1, {"io": 15})})
    assert sums.totals["io"] == 15


def test_what_was_done_before_the_run_does_not_count() -> None:
    sums = OfProcesses()
    sums.take({(1, 1): Process(0, 1, {"n": 1_000})}, {(1, 1)})
    sums.take({(1, 1): Process(0, 1, {"n": 1_001}), (2, 2): Process(1, 2, {"n": 50})}, {(2, 2)})
    assert sums.totals["n"] == 1


def test_a_thread_keeps_what_was_last_seen_of_it() -> None:
    sums = OfThreads()
    sums.take({1: {"n": 100}}, {1})
    sums.take({1: {"n": 101}, 2: {"n": 20}})
    sums.take({1: {"n": 101}})
    assert (sums.totals["n"], sums.began) == (21, 1)


def test_a_number_that_another_thread_has_taken_is_another_thread() -> None:
    sums = OfThreads()
    sums.take({7: {"n": 100, "m": 1}}, {7})
    sums.take({7: {"n": 3, "m": 1}})
    assert (sums.totals["n"], sums.began) == (3, 1)
