"""SVG as the library writes it, made fit for a page.

The page has a content security policy without inline styles, so each style becomes attributes, and
a known color a class, for which the style sheet has a color in light and in dark. All pictures are
in one document, so their ids are made unique. Nothing is drawn here.
"""

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
PAINTED = ("fill", "stroke")
DROPPED = ("metadata", "style")
"""Elements: what made the picture and when, and a style sheet, which report.css replaces."""
IGNORED = ("font-family", "font-stretch", "font-style")
"""Properties: text has the font of the page."""
DECIMALS = 2
NUMBER = re.compile(r"-?\d+\.\d+")
NUMERIC = ("d", "x", "y", "width", "height", "transform", "font-size")
FONT = re.compile(r"(?:(?:italic|oblique|normal) )?(?:(?P<weight>\d+|bold) )?(?P<size>[\d.]+)px")
NO_TURN = re.compile(r"rotate\(-?0(?:\.0*)?[ ,)].*")
URL = re.compile(r"url\(#([^)]+)\)")


def for_page(raw: str, roles: Mapping[str, str], name: str, title: str, description: str) -> str:
    """Return the picture as an element of a page.

    ``roles``: the name of each color, from which the classes ``f-NAME`` (filled) and ``s-NAME``
    (stroked) are made. ``name``: what ids begin with, unique in the page.
    """
    root = ElementTree.fromstring(raw)
    for element in list(root.iter()):
        for child in [child for child in element if _tag(child) in DROPPED]:
            element.remove(child)
        _without_style(element, roles)
        _shorten(element)
    _unique_ids(root, name)
    for group in root.iter(f"{{{SVG}}}g"):
        _share(group)
    _describe(root, name, title, description)
    ElementTree.register_namespace("", SVG)
    return re.sub(r"\s*\n\s*", "\n", ElementTree.tostring(root, encoding="unicode"))


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _without_style(element: Element, roles: Mapping[str, str]) -> None:
    """Turn the style into attributes and classes."""
    classes = []
    for name, value in [*_properties(element.attrib.pop("style", "")), *_paint(element)]:
        role = roles.get(value) if name in PAINTED else None
        if role is not None:
            element.attrib.pop(name, None)
            classes.append(f"{name[0]}-{role}")
        else:
            element.set(name, value)
    if classes:
        element.set("class", " ".join(classes))


def _properties(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            yield from _font(value)
        elif name == "font-weight":
            yield from _weight(value)
        elif name and name not in IGNORED:
            yield name, value


def _font(value: str) -> Iterator[tuple[str, str]]:
    """Yield what is kept of the shorthand: ``bold 12px 'DejaVu Sans'``."""
    found = FONT.match(value)
    if found is None:
        raise ValueError(f"unknown shorthand of a font: {value!r}")
    yield "font-size", found["size"]
    yield from _weight(found["weight"] or "")


def _weight(value: str) -> Iterator[tuple[str, str]]:
    if value not in ("", "normal", "400"):
        yield "font-weight", value


def _paint(element: Element) -> list[tuple[str, str]]:
    """Return the colors that stand in attributes: those of hatches do."""
    return [(name, element.attrib[name]) for name in PAINTED if name in element.attrib]


def _shorten(element: Element) -> None:
    """Round numbers to what can be seen, and leave out turns by nothing."""
    if NO_TURN.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    for name in NUMERIC:
        if value := element.get(name):
            element.set(name, NUMBER.sub(_rounded, value.replace("\n", "")))


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.{DECIMALS}f}".rstrip("0").rstrip(".")


def _unique_ids(root: Element, name: str) -> None:
    """Drop the ids that nothing refers to, and begin the others with the picture's name."""
    used = set()
    for element in root.iter():
        if link := element.attrib.pop(LINK, None):
            used.add(link[1:])
            element.set("href", f"#{name}-{link[1:]}")
        for attribute, value in element.items():
            if found := URL.fullmatch(value):
                used.add(found[1])
                element.set(attribute, f"url(#{name}-{found[1]})")
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{name}-{own}")


def _share(group: Element) -> None:
    """Move to a group what all of its elements have in common: markers look alike."""
    if len(group) < 2 or any(_tag(child) != "use" for child in group):
        return
    first = group[0]
    for name in sorted({*first.attrib} - {"x", "y", "href", *group.attrib}):
        if all(child.get(name) == first.get(name) for child in group):
            group.set(name, first.attrib[name])
            for child in group:
                del child.attrib[name]


def _describe(root: Element, name: str, title: str, description: str) -> None:
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("class", "picture")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(place, element)
