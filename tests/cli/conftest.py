from pathlib import Path

import pytest

from tests.cli.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project on a machine without a GPU."""
    return Project(tmp_path / "project")
