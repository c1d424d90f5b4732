"""Every command and all Python that README shows does what it says, from a folder that holds the sample data."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medreg.geometry.affine import map_points
from medreg.io.transforms import read_transform

Ran = Callable[[list[str], Path], str]
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fences(language: str) -> list[str]:
    """The contents of README's code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def marked(name: str) -> list[str]:
    """The parts of the one-line command after a marker, split at `&&`."""
    found = re.findall(rf"<!-- {name} -->\n```bash\n(.*)\n```\n", README)
    assert len(found) == 1, f"README has one line of bash after <!-- {name} -->"
    return [part.strip() for part in found[0].split("&&")]


SET_UP = [" && ".join(marked(name)) for name in ("run-command", "test-command")]
COMMANDS = [line for fence in fences("bash") for line in fence.splitlines() if line and line not in SET_UP]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder but for the sample data: what README's commands see."""
    path = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "sample_data", path / "sample_data", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return path


@pytest.mark.parametrize("name", ["run-command", "test-command"])
def test_the_set_up_commands_make_an_environment_and_install_this_checkout(name: str) -> None:
    make, install, _ = marked(name)
    python, *flags, place = make.split()
    assert (python, flags) == ("python3", ["-m", "venv"])
    words = shlex.split(install)
    assert words[:2] == [f"{place}/bin/pip", "install"]
    assert (ROOT / words[words.index("-c") + 1]).is_file()  # the tested versions
    target, _, extras = words[-1].partition("[")
    settings = (ROOT / target / "pyproject.toml").read_text()
    assert 'name = "medreg"' in settings
    assert all(f"\n{extra} = [" in settings for extra in extras.rstrip("]").split(",") if extra)


def test_the_test_command_ends_in_pytest_with_the_extra_that_brings_it() -> None:
    make, install, job = marked("test-command")
    assert job == f"{make.split()[-1]}/bin/pytest"
    assert install.endswith("-e '.[dev]'")  # editable: the tests see the checkout


def test_the_script_is_what_python_m_runs() -> None:
    assert 'medreg = "medreg.cli.main:main"' in (ROOT / "pyproject.toml").read_text()
    assert "from medreg.cli.main import main" in (ROOT / "medreg" / "__main__.py").read_text()


def test_the_first_command_registers_the_sample_data(ran: Ran, folder: Path) -> None:
    make, _, job = marked("run-command")
    script, *arguments = shlex.split(job)
    assert script == f"{make.split()[-1]}/bin/medreg"
    out = ran(["-m", "medreg", *arguments, "--out", "first"], folder)
    assert "converged" in out or "flat" in out
    assert sorted(p.name for p in (folder / "first").iterdir()) == [
        *("error.nii.gz", "figure.png", "moved.nii.gz", "report.html", "run.json", "transform.tfm")
    ]
    found = read_transform(folder / "first" / "transform.tfm")
    fixed, moving = (
        np.loadtxt(ROOT / "sample_data" / name, delimiter=",", skiprows=1, usecols=(1, 2, 3))
        for name in ("landmarks.csv", "landmarks_moved.csv")
    )
    missed = np.linalg.norm(map_points(found, fixed) - moving, axis=1)
    assert missed.max() < 0.15  # mm, a tenth of a voxel


def test_every_other_command_is_one_of_medreg() -> None:
    assert COMMANDS
    assert all(line.startswith("medreg ") for line in COMMANDS)


def test_the_other_commands_run_in_their_order(ran: Ran, folder: Path) -> None:
    for line in COMMANDS:
        ran(["-m", *shlex.split(line)], folder)
    assert (folder / "t2_on_t1" / "run.json").is_file()
    assert (folder / "labels_on_t1.nii.gz").is_file()


def test_the_python_runs(ran: Ran, folder: Path) -> None:
    assert fences("python")
    for code in fences("python"):
        assert ran(["-c", code], folder)
    assert (folder / "moved.nii.gz").is_file()
