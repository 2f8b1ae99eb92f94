"""Reports as a browser reads them: elements and their text."""

from xml.etree import ElementTree

HTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"


def tree(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def words(element: ElementTree.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def figures(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {one.attrib["id"].removesuffix("-figure"): one for one in root.iter(f"{HTML}figure")}
