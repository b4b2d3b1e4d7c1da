"""The examples in docs/edit-language.md are true."""

import json
import re
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.paths import get, parse_path

DOC = (Path(__file__).parents[2] / "docs" / "edit-language.md").read_text()
BASE = Config.of(json.loads(DOC.split("```json")[1].split("```")[0]))
ROWS = re.findall(r"^\| `([^|]*=[^|]*)` \| (.*) \|$", DOC, re.MULTILINE)
DONE = [(change, json.loads(said.strip("`"))) for change, said in ROWS if said.startswith("`{")]
REFUSED = [(change, said) for change, said in ROWS if not said.startswith("`")]


def test_the_tables_are_found():
    assert len(DONE) == 19
    assert len(REFUSED) == 12


@pytest.mark.parametrize(("change", "values"), DONE)
def test_an_example_gives_what_is_said(change, values):
    data = apply(BASE, parse_edits([change])).data()
    found = {path: get(data, parse_path(path)) for path in values}
    assert json.dumps(found) == json.dumps(values)


@pytest.mark.parametrize(("change", "why"), REFUSED)
def test_an_example_is_refused_as_said(change, why):
    with pytest.raises(MisuseError, match=re.escape(why)):
        apply(BASE, parse_edits([change]))
