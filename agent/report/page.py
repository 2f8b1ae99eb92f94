"""The page of a report: what came out, the pictures, and on what it rests.

It loads nothing and runs nothing, which its content security policy also forbids.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from agent import __version__
from agent.report.figures import tested
from agent.report.html import element, facts, figure, section, table, text
from agent.report.latencies import distributions
from agent.report.picture import Picture
from agent.report.pictures.budget import budget
from agent.report.pictures.durations import durations
from agent.report.pictures.heat import heat
from agent.report.pictures.histograms import histograms
from agent.report.pictures.percentiles import percentiles
from agent.report.pictures.shift import shift
from agent.report.subject import Subject, subject_of
from agent.report.words import about, command_of, headline, provenance, side_facts, warnings
from agent.terminal.evidence import LATENCIES

LONGEST_TITLE = 80


def page(document: Mapping[str, Any]) -> str:
    """Return the report on one run, a series or a comparison, as a whole HTML document.

    ``document`` is what `run --json` saves: the evidence of one run, or a series with its runs; or
    that of a comparison, with ``runs`` as a series has them.
    """
    subject = subject_of(document)
    css = files("agent.report").joinpath("report.css").read_text(encoding="utf-8")
    content = "".join([_top(subject), _pictures(subject), _figures(subject), _bottom(subject)])
    return (
        '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="en">\n'
        + element("head", _head(subject, css))
        + "\n"
        + element("body", element("main", content))
        + "\n</html>\n"
    )


def _head(subject: Subject, css: str) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    return "\n".join(
        [
            '<meta charset="utf-8"/>',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            '<meta name="color-scheme" content="light dark"/>',
            f'<meta name="generator" content="chainbench-agent {text(__version__)}"/>',
            element("title", text(command_of(subject), LONGEST_TITLE)),
            f"<style>{css}</style>",
        ]
    )


def _top(subject: Subject) -> str:
    said = "".join(element("p", text(line), class_="warning") for line in warnings(subject))
    sentence = headline(subject)
    result = element("p", text(sentence), class_="result") if sentence else ""
    sides = "".join(
        element("div", facts(side_facts(subject, side)), class_="side") for side in subject.sides
    )
    return element(
        "header",
        element("h1", text(command_of(subject)))
        + said
        + result
        + element("div", sides, class_="sides")
        + facts(about(subject)),
    )


def _pictures(subject: Subject) -> str:
    time: Sequence[Picture | None] = [durations(subject), budget(subject)]
    parts = [section("Time", _grid(time))]
    for name, title in LATENCIES.items():
        sides = [distributions(side, name) for side in subject.sides]
        of_section = [
            percentiles(sides, name),
            histograms(sides, name),
            shift(subject, name),
            heat(subject, name),
        ]
        parts.append(section(title, _grid(of_section)))
    return "".join(parts)


def _grid(pictures: Sequence[Picture | None]) -> str:
    drawn = "".join(figure(one) for one in pictures if one is not None)
    return element("div", drawn, class_="pictures")


def _figures(subject: Subject) -> str:
    return "".join(section(title, table(one)) for title, one in tested(subject))


def _bottom(subject: Subject) -> str:
    return section("Where this comes from", facts(provenance(subject)))
