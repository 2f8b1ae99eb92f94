"""Facts of other kernels, as tools/kernel_facts.py writes them."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).parents[1]
FACTS = TESTS / "unit" / "facts"
TOOL = TESTS.parent / "tools" / "kernel_facts.py"


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernel_facts_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tool = _tool()
Facts = tool.Facts


def changed(text: str, fact: str, value: str) -> str:
    """Return facts of which one is another, or is added."""
    line = f"{fact} = {value}"
    found, times = re.subn(rf"^{re.escape(fact)} = .*$", line, text, flags=re.MULTILINE)
    return found if times else f"{found}{line}\n"
