"""The bodies of requests, declared: types, limits, defaults, and what each field is for.

Validation (`agent.http.validation`) and ``/openapi.json`` (`agent.http.openapi`) both read these
declarations: a new field is one line here, and a line in ``docs/reference/http.md``.

Fields with a default are optional, and null is the same as omitting them, except where `not_null`
says why it is not.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from agent.errors import InvalidRequest
from agent.model import (
    LONGEST_LABEL,
    LONGEST_PATH,
    TIMINGS,
    TRANSPORT_CHOICES,
    Labels,
    Report,
    Scope,
    StartRequest,
    wrong_with_path,
)
from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SCOPED_DETAILS, SECTIONS
from agent.words import Json

LARGEST_COUNT = 2**63 - 1
LARGEST_PID = 1 << 22
"""PID_MAX_LIMIT in include/linux/threads.h."""
LARGEST_NUMBER = 2**1024 - 2**970 - 1
"""The largest whole number that has a finite double nearest to it, which is what we take it for.

`sys.float_info.max` is less: numbers beyond it that round to it would be taken, and to a reader of
JSON that does not round, its decimal digits are another bound.
"""

MUST_BE = "must be"
"""Key of the words that say what a field must be, in the ``extra`` of its `Meta`."""

A_STRING = "a string"
A_PATH = "the path of a cgroup"

TEXT = r"[^\u0000-\u001f\u007f-\u009f]*"
"""What `agent.model.wrong_with_label` accepts, for JSON Schema: JSON has no lone surrogates."""

PATH: Json = {"pattern": f"^/{TEXT}$", "not": {"pattern": r"(^|/)\.\.(/|$)"}}
"""What `agent.model.wrong_with_path` accepts, for JSON Schema."""

NUMBER, STRING, NULL = {"type": "integer"}, {"type": "string"}, {"type": "null"}

if TYPE_CHECKING:  # Type checkers accept no variables in Literal.
    Section: TypeAlias = str
    Detail: TypeAlias = str
    Timing: TypeAlias = str
    Transport: TypeAlias = str
else:
    Section, Detail = Literal[SECTIONS], Literal[tuple(DETAILS)]
    Timing, Transport = Literal[TIMINGS], Literal[TRANSPORT_CHOICES]


def field(must_be: str, description: str, **constraints: Any) -> Meta:
    """Describe a field to people; ``constraints`` are those of `Meta`."""
    return Meta(description=description, extra={MUST_BE: must_be}, **constraints)


def label(description: str) -> Meta:
    """Describe a string of at most `LONGEST_LABEL` characters, none of which is a control."""
    # Validation looks at the characters itself, to say which one is wrong.
    pattern = {"pattern": f"^{TEXT}$"}
    return field(A_STRING, description, max_length=LONGEST_LABEL, extra_json_schema=pattern)


def one_of(choices: tuple[str, ...], description: str) -> Meta:
    return field(f"one of {', '.join(choices)}", description)


def finite(description: str, least: float = -LARGEST_NUMBER) -> Meta:
    """Describe a number that rounds to a finite double."""
    must_be = "a finite number" if least < 0 else "a finite number that is not negative"
    return field(must_be, description, ge=least, le=LARGEST_NUMBER)


def count(description: str) -> Meta:
    must_be = f"a whole number from 0 to {LARGEST_COUNT}"
    return field(must_be, description, ge=0, le=LARGEST_COUNT)


class Declared(Struct, frozen=True):
    """An object in a request, and its rules that span fields, as JSON Schema."""

    rules: ClassVar[tuple[Json, ...]] = ()
    not_null: ClassVar[Mapping[str, str]] = {}
    """Optional fields that may be omitted and must not be null, and why."""
    refused: ClassVar[Mapping[str, str]] = {}
    """Names of what a body must not have, and why; other unknown names are ignored."""

    @classmethod
    def broken_rule(cls, value: Mapping[str, object]) -> str:
        """Say which of the rules an object breaks whose fields are right one by one."""
        raise NotImplementedError


class Subtree(Declared, frozen=True, forbid_unknown_fields=True):
    """A process and its descendants by `pid`, or a cgroup v2 by its path: one of the two."""

    rules = (
        {
            "anyOf": [
                {"required": ["pid"], "properties": {"pid": NUMBER, "cgroup": NULL}},
                {"required": ["cgroup"], "properties": {"cgroup": STRING, "pid": NULL}},
            ]
        },
    )

    pid: (
        Annotated[
            int,
            field(
                f"a whole number from 1 to {LARGEST_PID}",
                "The process, by its number or that of one of its threads.",
                ge=1,
                le=LARGEST_PID,
            ),
        ]
        | None
    ) = None
    cgroup: (
        Annotated[
            str,
            field(
                A_PATH,
                "From the root of the hierarchy, or with its mount point.",
                max_length=LONGEST_PATH,
                extra_json_schema=PATH,
            ),
        ]
        | None
    ) = None

    @classmethod
    def broken_rule(cls, value: Mapping[str, object]) -> str:
        """Say what is wrong with the number of fields: it is not one."""
        has_both = value.get("pid") is not None and value.get("cgroup") is not None
        return f"needs either pid or cgroup{', not both' if has_both else ''}"

    def __post_init__(self) -> None:
        """Check what types do not say. Raises ValueError, which msgspec reports as its own."""
        if (self.pid is None) == (self.cgroup is None):
            raise ValueError("exactly one of pid and cgroup")
        if self.cgroup is not None and wrong_with_path(self.cgroup):
            raise ValueError("a path")


def _detail_rule(detail: str, section: str) -> Json:
    """Return what a detail needs, as JSON Schema; `StartBody.request` checks the same."""
    asked = {"type": "array", "contains": {"const": detail}}
    measured: Json = {"contains": {"const": section}}
    if section in DEFAULT_SECTIONS:
        measured = {"anyOf": [{"type": "null"}, measured]}
    needs: Json = {"properties": {"sections": measured}}
    if section not in DEFAULT_SECTIONS:
        needs["required"] = ["sections"]
    if detail in SCOPED_DETAILS:
        needs["properties"]["scope"] = {"not": {"enum": ["system", None]}}
        needs["required"] = [*needs.get("required", ()), "scope"]
    return {"if": {"required": ["details"], "properties": {"details": asked}}, "then": needs}


class StartBody(Declared, frozen=True, kw_only=True):
    """What a run covers and measures, and the labels it is shown under. All fields are optional."""

    rules = tuple(_detail_rule(detail, section) for detail, section in DETAILS.items())

    scenario: Annotated[
        str, label("Side of a comparison, for example `baseline` or `optimized`.")
    ] = ""
    impl: Annotated[str, label("Implementation, for example `python`.")] = ""
    variant: Annotated[str, label("Variant of the implementation, for example `numpy`.")] = ""
    commit: Annotated[str, label("Commit of the measured code.")] = ""
    dataset: Annotated[str, label("Data set, for example its SHA-256.")] = ""
    sections: Annotated[
        list[Section],
        field(
            f"a list of one or more of {', '.join(SECTIONS)}",
            "What to measure; only these sections' programs are attached. By default "
            f"{', '.join(DEFAULT_SECTIONS)}.",
            min_length=1,
        ),
    ] = msgspec.field(default_factory=lambda: list(DEFAULT_SECTIONS))
    scope: Annotated[
        Literal["system", "caller"] | Subtree,
        field(
            '"system", "caller", {"pid": N} or {"cgroup": "/path"}',
            "Which tasks the run covers: all, those of the process that sends this request, "
            "of a process tree, or of a cgroup v2 subtree.",
        ),
    ] = "system"
    timing: Annotated[Timing, one_of(TIMINGS, "How time is taken.")] | None = None
    transport: (
        Annotated[Transport, one_of(TRANSPORT_CHOICES, "How events reach the agent.")] | None
    ) = None
    measure_probes: Annotated[
        bool, field("true or false", "Have the kernel count the runs and run time of each program.")
    ] = False
    details: Annotated[
        list[Detail],
        field(
            f"a list of any of {', '.join(DETAILS)}",
            "Optional, costlier measurements. Each needs its section; "
            f"{' and '.join(SCOPED_DETAILS)} need a scope other than `system`.",
        ),
    ] = []
    wall: Annotated[
        bool,
        field(
            "true or false",
            "Whether a run with a scope and `offcpu` says where the wall time went.",
        ),
    ] = True
    kept_by: (
        Annotated[
            Literal["client"],
            field('"client"', "That the client keeps the run: what this agent keeps is a copy."),
        ]
        | None
    ) = None

    def request(self) -> StartRequest:
        """Return what the recorder is asked. Raises `InvalidRequest`."""
        return StartRequest(
            labels=Labels(
                scenario=self.scenario,
                impl=self.impl,
                variant=self.variant,
                commit=self.commit,
                dataset=self.dataset,
            ),
            sections=tuple(section for section in SECTIONS if section in self.sections),
            scope=_scope(self.scope),
            timing=self.timing,
            transport=self.transport,
            measure_probes=self.measure_probes,
            details=tuple(self._details()),
            wall=self.wall,
            kept_by=self.kept_by,
        )

    def _details(self) -> Iterator[str]:
        for detail, section in DETAILS.items():
            if detail not in self.details:
                continue
            if section not in self.sections:
                text = f"{detail} is a detail of {section}, which is not in sections"
                raise InvalidRequest(text, field="details")
            if detail in SCOPED_DETAILS and self.scope == "system":
                text = f'{detail} needs a "scope" other than "system"'
                raise InvalidRequest(text, field="details")
            yield detail


class StopBody(Declared, frozen=True, kw_only=True):
    """Which run a stop is about. The field is optional; the answer to a start may be sent as it is.

    What a script has whose start was refused, null or the refusal, must end nobody's run.
    """

    not_null = {
        "run_id": "if the start was refused, there is no run to end; without the field, whichever "
        "run is in progress ends"
    }
    refused = {
        "error": "this is the answer to a start that was refused: it has begun no run to end"
    }

    run_id: (
        Annotated[
            str,
            label("The run that is to end, and no other. By default the one that is in progress."),
        ]
        | UnsetType
    ) = UNSET


class ReportBody(Declared, frozen=True, kw_only=True):
    """A runner's own result: durations in milliseconds, the gain in percent."""

    impl: Annotated[str, label("As for a start.")] = ""
    variant: Annotated[str, label("As for a start.")] = ""
    commit: Annotated[str, label("As for a start.")] = ""
    dataset: Annotated[str, label("As for a start.")] = ""
    baseline_ms: Annotated[float, finite("Duration of the baseline.", least=0)]
    optimized_ms: Annotated[
        float, finite("Duration of the variant that is compared with the baseline.", least=0)
    ]
    gain_pct: Annotated[float, finite("Gain in percent, as computed by the runner.")]
    baseline_success: Annotated[int, count("How many repetitions succeeded.")] | None = None
    optimized_success: Annotated[int, count("How many repetitions succeeded.")] | None = None

    def report(self) -> Report:
        return Report(
            labels=Labels(
                impl=self.impl, variant=self.variant, commit=self.commit, dataset=self.dataset
            ),
            baseline_ms=self.baseline_ms,
            optimized_ms=self.optimized_ms,
            gain_pct=self.gain_pct,
            baseline_success=self.baseline_success,
            optimized_success=self.optimized_success,
        )


DECLARED: tuple[type[Declared], ...] = (StartBody, StopBody, ReportBody, Subtree)


def _scope(declared: str | Subtree) -> Scope:
    if isinstance(declared, str):
        return Scope(declared)
    if declared.pid is not None:
        return Scope("pid", pid=declared.pid)
    return Scope("cgroup", cgroup=declared.cgroup or "")
