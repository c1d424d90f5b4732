"""The documentation is true of the code: links lead somewhere, flags and recipes are accepted, examples run."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from medreg.cli.main import app
from medreg.registration.recipe import job_from

Ran = Callable[[list[str], Path], str]
ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def fences(text: str, language: str) -> list[str]:
    """The contents of the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `medreg ...` line in a page's fenced or indented code, up to a pipe or a redirection."""
    fenced = [line for fence in fences(text, "bash") for line in fence.splitlines()]
    for line in [*fenced, *re.findall(r"^ {4}(medreg .*)$", text, flags=re.MULTILINE)]:
        if line.startswith("medreg "):
            words = shlex.split(line)
            ends = [words.index(sign) for sign in (">", "|") if sign in words]
            yield words[: min(ends, default=len(words))]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def script(name: str) -> ModuleType:
    """A script of docs/, imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", TEXTS)
def test_relative_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


def test_every_page_of_docs_is_reached_from_the_index() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in TEXTS["docs/index.md"]


def test_the_api_page_is_current() -> None:
    assert TEXTS["docs/api.md"] == script("make_api").page(), "run: python docs/make_api.py"


def test_the_api_page_holds_every_public_name() -> None:
    import medreg

    for name in medreg.__all__:
        assert re.search(rf"^\| `{name}\b", TEXTS["docs/api.md"], flags=re.MULTILINE)


def test_every_flag_that_is_mentioned_exists() -> None:
    verbs: Any = typer.main.get_command(app)
    known = {
        "--help",
        *(
            flag
            for verb in [verbs, *verbs.commands.values()]
            for p in verb.params
            for flag in (*p.opts, *p.secondary_opts)
        ),
    }
    known |= {"--install-completion", "--show-completion"}  # typer's own, in the help of `medreg`
    known |= {flag for script in BENCHMARKS for flag in re.findall(r'"(--[a-z-]+)"', script.read_text())}
    for page, text in TEXTS.items():
        ours = "\n".join(line for line in text.splitlines() if not re.match(r" *(ruff|\S*pip|python3) ", line))
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours):
            assert flag in known, f"{page}: {flag}"


def test_the_help_of_register_names_every_flag_that_the_docs_give_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medreg", "register", "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    for text in TEXTS.values():
        for words in commands(text):
            if words[1] == "register":
                assert all(word in done.stdout for word in words if word.startswith("--"))


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if list(commands(text))])
def test_every_command_is_accepted_by_the_command_line(page: str) -> None:
    verbs: Any = typer.main.get_command(app)
    for _, verb, *arguments in commands(TEXTS[page]):
        if verb in verbs.commands:  # names, flags and choices are parsed, nothing is run
            verbs.commands[verb].make_context(verb, arguments)
        else:
            assert verb.startswith("--"), f"{page}: medreg {verb}"


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if fences(text, "yaml")])
def test_every_recipe_is_valid(page: str) -> None:
    for text in fences(TEXTS[page], "yaml"):
        job_from(yaml.safe_load(text), page)


@pytest.fixture(scope="module")
def folder(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample data and one run on them, as the pages' examples find them."""
    path = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "sample_data", path / "sample_data", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    images = ["sample_data/head_t1.nii.gz", "sample_data/head_t1_moved.nii.gz"]
    ran(["-m", "medreg", "register", *images], path)
    shutil.copytree(path / "head_t1_moved_to_head_t1", path / "affine")
    return path


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if "docs/" in page and fences(text, "python")])
def test_the_python_of_a_page_runs(page: str, ran: Ran, folder: Path) -> None:
    ran(["-c", "\n".join(fences(TEXTS[page], "python"))], folder)  # one process a page: torch is imported once


def test_a_benchmark_fills_the_marked_blocks_and_nothing_else() -> None:
    make = script("make_benchmarks")
    for path in make.PAGES:
        page = path.read_text(encoding="utf-8")
        filled = make.filled(page, "| tool |\n|---|\n| medreg |\n")
        assert "| medreg |" in filled
        assert make.filled(filled, page.partition(make.BEGIN)[2].partition(make.END)[0]) == page


@pytest.mark.parametrize("page", TEXTS)
def test_no_page_speaks_of_one_machine(page: str) -> None:
    assert not re.search(r"(?<![\w.])/(home|root|Users|tmp|work|mnt|opt|var)/", TEXTS[page])


def test_the_citation_is_one() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version is not None and citation["version"] == version[1]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires
    assert citation["license"] == "Apache-2.0"


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
