"""The page: one file that loads nothing, escapes everything, and shows the planes that it says."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from medreg.geometry.grid import Grid
from medreg.image import MedImage
from medreg.report.motion import motion_of
from medreg.report.page.charts import HEIGHT, WIDTH, charts_of
from medreg.report.page.edges import FINER, edges_of
from medreg.report.page.figure import overlay
from medreg.report.page.html import error_of, page
from medreg.report.page.maps import BLOCK, REACH, agreement_map
from medreg.report.page.pictures import Pictures, bar_of, pictures_of
from medreg.report.page.sampling import views_of
from medreg.report.page.views import Views
from medreg.report.page.writing import FIGURE, PAGE, heading_of, write_figure, write_page

VOID = {"meta", "input", "img", "br", "line", "polyline", "circle", "path"}
HOSTILE = "<script>alert('x')</script>&\"quoted\".nii.gz"
AFFINE = np.eye(4)
AFFINE[:3, :3] = Rotation.from_euler("xyz", (8, -5, 11), degrees=True).as_matrix() * [1.0, 1.2, 2.5]
AFFINE[:3, 3] = [-9.0, 4.0, 2.0]
GRID = Grid.from_affine((40, 44, 20), AFFINE)


class Reader(HTMLParser):
    """What a page holds: its elements, their attributes, and its text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.text).append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def head(seed: int, grid: Grid = GRID) -> MedImage:
    """Smooth values with a dark border."""
    noise = np.random.default_rng(seed).normal(size=grid.shape)
    for axis in range(noise.ndim):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    inner = np.zeros(grid.shape)
    inner[(slice(4, -4),) * noise.ndim] = 1.0
    return MedImage.on(grid, torch.from_numpy((inner * (300 + 200 * noise)).astype(np.float32))[None])


@pytest.fixture(scope="module")
def views() -> Views:
    matrix = np.eye(4)
    matrix[:3, 3] = [2.0, -1.0, 0.5]
    return views_of(head(1), head(2), matrix)


@pytest.fixture(scope="module")
def pictures(views: Views) -> Pictures:
    return pictures_of(views)


@pytest.fixture
def record() -> dict[str, Any]:
    """A record as `run.json` holds it, shortened."""
    steps = [
        {"number": 0, "value": -0.5, "step_mm": 0.0, "overlap": 1.0},
        {"number": 1, "value": -0.8, "step_mm": 1.5, "overlap": 1.0},
        {"number": 2, "value": -0.9, "step_mm": 0.01, "overlap": 1.0},
    ]
    matrix = np.eye(4)
    matrix[:3, 3] = [2.0, -1.0, 0.5]
    image = {"size": [40, 44, 20], "spacing": [1.0, 1.2, 2.5], "unit": "mm", "orientation": "LPS"}
    return {
        "transform": {
            "kind": "rigid",
            "asked": "rigid",
            "fallback": None,
            "world": "LPS",
            **motion_of(matrix, GRID, GRID),
            "centre": [0.0, 0.0, 0.0],
        },
        "metric": {"asked": "auto", "used": "mutual_information", "reason": "different contrasts."},
        "start": {"asked": "auto", "used": "header", "candidates": []},
        "verdict": {
            "standing": "suspect",
            "reasons": ["inside their outlines they share little"],
            "next": ["try --start search"],
            "predicted_error": {"mean_mm": 0.031, "p95_mm": 0.052, "interval_mm": [0.02, 0.06]},
        },
        "outcome": {"name": "converged", "advice": "The last step was smaller than the tolerance."},
        "levels": [
            {"kind": "rigid", "spacing_mm": 4.0, "unit": "mm", "metric": "mutual_information", "steps": steps,
             "outcome": "converged", "seconds": 0.5},
        ],
        "seconds": {"total": 3.21},
        "inputs": {"fixed": {"file": "t1.nii.gz", **image}, "moving": {"file": "t2.nii.gz", **image}},
        "outputs": {
            "folder": "t2_to_t1",
            "moved": {"file": "moved.nii.gz", "note": "kept"},
            "transform": {"file": "transform.tfm"},
        },
        "warnings": [],
        "versions": {"medreg": "0.1.0"},
        "device": "cpu",
        "threads": 2,
    }  # fmt: skip


def test_every_element_is_closed_by_its_own(record: dict[str, Any], pictures: Pictures) -> None:
    assert Reader(page(record, pictures)).open == []


def test_it_loads_nothing_from_anywhere(record: dict[str, Any], pictures: Pictures) -> None:
    text = page(record, pictures)
    for tag, attributes in Reader(text).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert "@import" not in text
    assert not re.search(r"https?://|url\(|fetch\(|XMLHttpRequest", text)


def test_it_is_small(record: dict[str, Any], pictures: Pictures) -> None:
    assert len(page(record, pictures).encode()) < 3e6


def test_the_verdict_comes_first_with_its_reasons_its_error_and_what_to_try(
    record: dict[str, Any], pictures: Pictures
) -> None:
    said = Reader(page(record, pictures)).said
    places = [
        said.index(text)
        for text in (
            "suspect",
            "mean 0.031 mm (95 % sure: 0.02 to 0.06 mm), 95 % of the foreground below 0.052 mm",
            "inside their outlines they share little",
            "try --start search",
            "Before and after",
        )
    ]
    assert places == sorted(places)


def test_the_error_of_a_doubted_place_is_not_promised(record: dict[str, Any], pictures: Pictures) -> None:
    assert "Predicted error, were this the right place: mean" in Reader(page(record, pictures)).said
    assert "predicted error" not in heading_of(record)[1][0]
    record["verdict"]["standing"] = "ok"
    assert "Predicted error: mean" in Reader(page(record, pictures)).said
    assert "predicted error: mean 0.031 mm" in heading_of(record)[1][0]


@pytest.mark.parametrize("missing", ["predicted_error", "next", "reasons", "standing", "verdict"])
def test_what_is_not_known_is_left_out(record: dict[str, Any], pictures: Pictures, missing: str) -> None:
    if missing == "verdict":
        record["verdict"] = {"standing": "ok", "reasons": []}  # as little as any run gives
    elif missing == "standing":
        record["verdict"]["standing"] = "unheard of"
    else:
        del record["verdict"][missing]
        record["verdict"].setdefault("reasons", [])
    said = Reader(page(record, pictures)).said
    assert ("Predicted error" in said) == (missing not in ("predicted_error", "verdict"))
    assert ("Try next" in said) == (missing not in ("next", "verdict"))


def test_an_error_that_is_known_in_part_is_told_in_part() -> None:
    assert error_of(None) == ""
    assert error_of({"mean_mm": 0.5, "p95_mm": None, "interval_mm": None}) == "mean 0.5 mm"
    assert error_of({"interval_mm": [0.1, 0.2]}) == "95 % sure: 0.1 to 0.2 mm"


def test_hostile_names_stay_text(record: dict[str, Any], pictures: Pictures) -> None:
    clean = Reader(page(record, pictures))
    record["inputs"]["moving"]["file"] = HOSTILE
    record["verdict"]["reasons"] = [HOSTILE]
    record["verdict"]["next"] = ["</script><img src=x onerror=alert(1)>"]
    record["warnings"] = ["<b>bold</b>"]
    record["levels"][0]["metric"] = "</svg><script>"
    read = Reader(page(record, pictures))
    count = [sum(tag == name for tag, _ in read.elements) for name in ("script", "b", "img", "svg")]
    assert count == [sum(tag == name for tag, _ in clean.elements) for name in ("script", "b", "img", "svg")]
    assert HOSTILE in read.said  # shown as it is called


def test_the_record_is_there_whole_but_for_persons(record: dict[str, Any], pictures: Pictures) -> None:
    record["inputs"]["moving"]["identifiers"] = {"PatientName": "Doe^Jane"}
    text = page(record, pictures)
    held = re.search(r'<pre class="record">(.*?)</pre>', text, re.DOTALL)
    assert held is not None
    import html

    asked = copy.deepcopy(record)
    del asked["inputs"]["moving"]["identifiers"]
    assert json.loads(html.unescape(held[1])) == asked
    assert "Jane" not in text


def test_the_same_run_gives_the_same_page_and_figure(record: dict[str, Any], tmp_path: Path) -> None:
    made = []
    for name in "ab":
        views = views_of(head(1), head(2), np.array(record["transform"]["matrix"]))
        pictures = pictures_of(views)
        (tmp_path / name).mkdir()
        write_page(record, pictures, tmp_path / name)
        write_figure(record, views, pictures, tmp_path / name)
        made.append([(tmp_path / name / file).read_bytes() for file in (PAGE, FIGURE)])
    assert made[0] == made[1]


def shown(text: str) -> list[dict[str, Any]]:
    """The rows of pictures that a page holds."""
    held = re.search(r'<script type="application/json" id="pictures">(.*?)</script>', text, re.DOTALL)
    assert held is not None
    rows: list[dict[str, Any]] = json.loads(held[1])["rows"]
    return rows


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_the_pictures_decode_to_the_planes_that_were_sampled(
    record: dict[str, Any], pictures: Pictures, views: Views
) -> None:
    rows = shown(page(record, pictures))
    assert [row["name"] for row in rows] == ["axial", "coronal", "sagittal"]
    for row, seen in zip(rows, views.rows, strict=True):
        for held, view in zip(row["slices"], seen, strict=True):
            assert held["place"] == view.plane.place
            for which in ("fixed", "before", "after"):
                theirs = np.asarray(decoded(held[which]), float) / 255
                assert theirs.shape == (row["height"], row["width"])
                off = np.abs(theirs - np.nan_to_num(getattr(view, which)))
                assert off.mean() < 0.02  # of the range: what JPEG of quality 85 costs such noise


def test_the_scale_bar_is_as_long_as_it_says(pictures: Pictures, views: Views) -> None:
    for row, view in zip(pictures.rows, views.middles, strict=True):
        length, unit = row["bar"]["text"].split()
        assert unit == "mm"
        assert row["bar"]["share"] * view.plane.width * view.plane.pixel == pytest.approx(float(length), rel=1e-3)
    assert [bar_of(w) for w in (3.1, 100.0, 640.0)] == [1.0, 20.0, 200.0]


def test_outside_of_the_headers_reach_the_page_says_so(record: dict[str, Any]) -> None:
    far = MedImage.on(Grid.regular((20, 20, 20), (1.0,) * 3, (900.0, 0.0, 0.0)), torch.rand(1, 20, 20, 20))
    matrix = np.eye(4)
    matrix[0, 3] = 890.0
    said = Reader(page(record, pictures_of(views_of(head(1), far, matrix)))).said
    assert "the headers place nothing of the moving image here" in said


def test_colour_pictures_make_a_page_of_one_plane(record: dict[str, Any], tmp_path: Path) -> None:
    grid = Grid.regular((300, 200), (1.0, 1.0))
    data = torch.full((3, 200, 300), 240, dtype=torch.uint8)
    data[:, 50:150, 60:200] = torch.tensor([200, 80, 150], dtype=torch.uint8)[:, None, None]
    slide = MedImage.on(grid, data, metadata={"unit": "px", "world": "picture"})
    record["transform"] = {
        "kind": "affine", "asked": "affine", "fallback": None, "world": "picture",
        **motion_of(np.eye(3), grid, grid, "px", "picture"),
    }  # fmt: skip
    views = views_of(slide, slide, np.eye(3))
    pictures = pictures_of(views)
    write_page(record, pictures, tmp_path)
    write_figure(record, views, pictures, tmp_path)
    (row,) = shown((tmp_path / PAGE).read_text(encoding="utf-8"))
    (held,) = row["slices"]
    assert decoded(held["fixed"]).mode == "RGB"
    assert row["letters"] == []
    assert pictures.colour[2] > pictures.colour[0]  # dark blue lines on a bright ground
    with Image.open(tmp_path / FIGURE) as figure:
        assert figure.width == 1600  # px


def test_a_figure_without_fonts_of_the_system_names_files_in_letters_that_it_has(
    record: dict[str, Any], views: Views, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medreg.report.page.lettering._system_font", lambda name, size: None)
    figures = []
    for name in ("M\u00fcller \u03b8 \u982d \U0001f9e0 \udcff.nii.gz", "Muller ? ? ? ?.nii.gz"):
        record["inputs"]["moving"]["file"] = name
        write_figure(record, views, pictures, tmp_path)
        figures.append((tmp_path / FIGURE).read_bytes())
    assert figures[0] == figures[1]


def test_odd_images_make_a_page_too(record: dict[str, Any], tmp_path: Path) -> None:
    grid = Grid.regular((30, 1, 2), (1.0, 4.0, 3.0))
    broken = torch.full((1, 2, 1, 30), float("nan"))
    constant = torch.full((1, 2, 1, 30), 7.0)
    for fixed, moving in ((broken, constant), (constant, broken), (constant, constant)):
        views = views_of(MedImage.on(grid, fixed), MedImage.on(grid, moving), np.eye(4))
        pictures = pictures_of(views)
        write_page(record, pictures, tmp_path)
        write_figure(record, views, pictures, tmp_path)
        assert Reader((tmp_path / PAGE).read_text(encoding="utf-8")).open == []


def test_controls_have_names_and_pictures_have_descriptions(record: dict[str, Any], pictures: Pictures) -> None:
    text = page(record, pictures)
    elements = Reader(text).elements
    assert all(a.get("aria-label") for tag, a in elements if tag in ("canvas", "svg") and "data-print" not in a)
    assert all(a.get("alt") for tag, a in elements if tag == "img")
    named = set(re.findall(r'<label for="([^"]+)"', text))
    for tag, a in elements:
        if tag == "input" and a.get("type") == "range" and "data-slice" not in a:
            assert a["id"] in named
    assert "prefers-reduced-motion" in text


def test_the_error_map_is_shown_where_it_is_known(record: dict[str, Any]) -> None:
    error = MedImage.on(GRID.subsampled((4, 4, 4)), torch.full((1, 5, 11, 10), 0.25))
    text = page(record, pictures_of(views_of(head(1), head(2), np.eye(4), error)))
    assert "Predicted error" in Reader(text).said
    assert "0.25 mm" in Reader(text).said


def test_local_correlation_is_that_of_numpy_in_each_window() -> None:
    rng = np.random.default_rng(3)
    fixed, moving = rng.random((2, 64, 48))
    moving = 0.6 * fixed + 0.4 * moving
    ours = agreement_map(fixed, moving)
    assert ours.shape == (64 // BLOCK, 48 // BLOCK)
    y, x = 7, 5
    window = tuple(slice((k - REACH) * BLOCK, (k + REACH + 1) * BLOCK) for k in (y, x))
    assert ours[y, x] == pytest.approx(abs(np.corrcoef(fixed[window].ravel(), moving[window].ravel())[0, 1]), abs=1e-9)


def test_the_other_contrast_agrees_as_well() -> None:
    fixed = np.random.default_rng(3).random((32, 32))
    assert np.nanmin(agreement_map(fixed, 1 - fixed)) > 1 - 1e-9


def test_nothing_to_see_has_no_agreement() -> None:
    noise = np.random.default_rng(3).random((32, 32))
    assert np.isnan(agreement_map(np.full((32, 32), 0.5), noise)).all()
    assert np.isnan(agreement_map(noise, np.full((32, 32), np.nan))).all()
    assert np.nanmax(agreement_map(noise, np.full((32, 32), 0.5))) < 1e-6  # flat on structure does not fit


def test_the_edge_of_a_disc_is_a_circle_of_its_radius() -> None:
    y, x = np.mgrid[:80, :90]
    (lines,) = edges_of([(np.hypot(y - 40, x - 44) < 25).astype(float)])
    at = (np.argwhere(lines) + 0.5) / FINER - 0.5  # line pixels lie on the crossing, within half a pixel of their own
    radius = np.hypot(at[:, 0] - 40, at[:, 1] - 44)
    assert lines.shape == (FINER * 80, FINER * 90)
    assert len(at) > 2 * np.pi * 25  # it is closed
    assert np.abs(radius - 24.7).max() < 1.0  # px: a disc of whole pixels, and half a pixel of the lines' own


def test_flat_and_unknown_pictures_have_no_edges() -> None:
    assert not any(lines.any() for lines in edges_of([np.zeros((20, 30)), np.full((20, 30), np.nan)]))


def test_equal_pictures_overlay_to_grey() -> None:
    values = np.linspace(0, 1, 256, dtype=np.float32)[None]
    colours = overlay(values, values).astype(int)
    assert np.ptp(colours, axis=2).max() <= 1  # of 255: halves are rounded down


def test_one_image_alone_is_orange_or_blue() -> None:
    one, none = np.ones((1, 1), np.float32), np.full((1, 1), np.nan, np.float32)
    assert overlay(one, none)[0, 0].tolist() == [255, 127, 0]
    assert overlay(none, one)[0, 0].tolist() == [0, 127, 255]


def test_curves_fall_from_their_top_to_their_bottom(record: dict[str, Any]) -> None:
    (chart,) = charts_of(record["levels"])
    assert chart.loss.dots == ((0.0, 0.0), (WIDTH / 2, HEIGHT * 0.75), (WIDTH, HEIGHT))
    assert (chart.loss.top, chart.loss.bottom, chart.title) == ("-0.5000", "-0.9000", "rigid, 4 mm")
    assert len(chart.step.dots) == 2  # the start moved nothing


def test_all_levels_share_the_scale_of_steps(record: dict[str, Any]) -> None:
    other = copy.deepcopy(record["levels"][0])
    other["steps"][1]["step_mm"] = 0.0003
    charts = charts_of([record["levels"][0], other, {**other, "steps": []}])
    assert len(charts) == 2
    assert charts[0].step.ticks == charts[1].step.ticks
    assert charts[0].step.dots[0][1] < charts[1].step.dots[0][1]  # 1.5 mm above 0.0003 mm


def test_values_that_are_not_known_break_no_chart(record: dict[str, Any]) -> None:
    record["levels"][0]["steps"][1] = {"number": 1, "value": None, "step_mm": None, "overlap": 0.0}
    (chart,) = charts_of(record["levels"])
    assert len(chart.loss.dots) == 2


def test_writing_a_page_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; from medreg.report.page.writing import prepare; prepare(); import medreg.cli.tasks.reporting;"
        "print([name for name in ('torch', 'matplotlib', 'nibabel') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
