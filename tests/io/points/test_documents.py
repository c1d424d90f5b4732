"""Points in JSON and in VTK: only their numbers change, whatever else the file holds."""

from __future__ import annotations

import copy
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medreg.errors import MedregWarning, ReadError
from medreg.io.points import Known, Space, read_points, write_points

MARKUPS: dict[str, Any] = {
    "@schema": "https://example.org/markups-schema-v1.0.3.json#",
    "markups": [
        {
            "type": "Fiducial",
            "coordinateSystem": "RAS",
            "coordinateUnits": "mm",
            "locked": False,
            "controlPoints": [
                {
                    "id": "1",
                    "label": "AC",
                    "description": "front",
                    "position": [1.25, -2.5, 3.0],
                    "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
                    "positionStatus": "defined",
                },
                {"id": "2", "label": "nowhere", "position": [9, 9, 9], "positionStatus": "undefined"},
                {"id": "3", "label": "not yet"},
            ],
            "display": {"opacity": 0.5},
        },
        {"type": "Line", "coordinateSystem": "LPS", "controlPoints": [{"label": "PC", "position": [4, 5, -6.125]}]},
    ],
}
SHIFT = np.eye(4)
SHIFT[:3, 3] = (10, 20, 30)
FACES = b"POLYGONS 1 4\n3 0 1 2\nPOINT_DATA 3\nSCALARS depth float 1\nLOOKUP_TABLE default\n0.5 1.5 2.5\n"
CORNERS = np.array([[0.1, 2, 3], [4, 5, 6], [7, 8, 9]])


def saved(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_markups_give_the_control_points_that_have_a_place_each_in_its_own_space(tmp_path: Path) -> None:
    points = read_points(saved(tmp_path / "F.mrk.json", MARKUPS))
    assert points.names == ("AC", "PC")
    assert points.coordinates.tolist() == [[-1.25, 2.5, 3.0], [4.0, 5.0, -6.125]]
    assert points.columns == {"description": ("front", "")}


def test_markups_keep_all_that_is_not_a_position(tmp_path: Path) -> None:
    one = copy.deepcopy(MARKUPS)
    one["markups"][1]["coordinateSystem"] = "RAS"
    path = saved(tmp_path / "F.mrk.json", one)
    write_points(read_points(path).through(SHIFT), path)
    wanted = copy.deepcopy(one)
    wanted["markups"][0]["controlPoints"][0]["position"] = [1.25 - 10, -2.5 - 20, 33.0]
    wanted["markups"][1]["controlPoints"][0]["position"] = [4.0 - 10, 5.0 - 20, 30 - 6.125]
    assert json.loads(path.read_text()) == wanted


def test_markups_in_another_space_turn_their_axes_too(tmp_path: Path) -> None:
    path = saved(tmp_path / "F.mrk.json", MARKUPS)
    points = read_points(path)
    write_points(points, path, Space.LPS)
    point = json.loads(path.read_text())["markups"][0]["controlPoints"][0]
    assert point["orientation"] == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    assert (read_points(path).coordinates == points.coordinates).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinateSystem": "IJK"}, "its coordinate system is 'IJK'"),
        ({"coordinateUnits": "um"}, "its coordinates are in 'um'"),
        ({"controlPoints": 3}, "'controlPoints' is no list of objects"),
        ({"controlPoints": [{"position": [1, 2]}]}, r"control point 1 of markup 1 has the position \[1, 2\]"),
        ({"controlPoints": [{"position": [1, 2, float("nan")]}]}, "not finite"),
        ({"controlPoints": []}, "holds no points"),
    ],
)
def test_markups_that_make_no_sense_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    document = {"markups": [{**MARKUPS["markups"][0], **change}]}
    with pytest.raises(ReadError, match=message):
        read_points(saved(tmp_path / "F.mrk.json", document))


def test_planes_and_boxes_are_told_to_move_by_their_points_only(tmp_path: Path) -> None:
    document = {"markups": [{**MARKUPS["markups"][0], "type": "Plane", "center": [0, 0, 0]}]}
    path = saved(tmp_path / "P.mrk.json", document)
    with pytest.warns(MedregWarning, match="type Plane also has center"):
        write_points(read_points(path), path)


@pytest.mark.parametrize(
    ("content", "names", "lps"),
    [
        ([[1, 2, 3], [4, 5, 6.5]], (), [[1.0, 2, 3], [4, 5, 6.5]]),
        ({"AC": [1, 2, 3], "PC": [4, 5, 6.5]}, ("AC", "PC"), [[1.0, 2, 3], [4, 5, 6.5]]),
        ({"space": "RAS", "by": "me", "points": {"AC": [1, 2, 3]}}, ("AC",), [[-1.0, -2, 3]]),
        ({"coordinateSystem": "RAS", "points": [[1, 2, 3]]}, (), [[-1.0, -2, 3]]),
        ([[1.5, 2]], (), [[1.5, 2]]),
        ({"points": [1, 2, 3]}, ("points",), [[1.0, 2, 3]]),
    ],
)
def test_json_keeps_its_layout(tmp_path: Path, content: Any, names: tuple[str, ...], lps: list[list[float]]) -> None:
    path = saved(tmp_path / "points.json", content)
    points = read_points(path)
    assert points.names == names
    assert points.coordinates.tolist() == lps
    write_points(points, path)
    assert json.loads(path.read_text()) == content


def test_json_tells_a_space_that_is_not_its_custom(tmp_path: Path) -> None:
    path = saved(tmp_path / "points.json", {"AC": [1, 2, 3]})
    write_points(read_points(path), path, Space.RAS)
    assert json.loads(path.read_text()) == {"space": "RAS", "points": {"AC": [-1.0, -2.0, 3.0]}}
    assert read_points(path).coordinates.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "holds no points"),
        ("[[1, 2, 3], [1, 2]]", "point 2 has 2 coordinates, those before it have 3"),
        ('{"AC": [1, 2, "3"]}', "point AC is"),
        ("[[1, 2, NaN]]", "not finite"),
        ("[[1, 2, 3]", "is no JSON"),
        ("[1, 2, 3]", "point 1 is 1, 2 or 3 numbers are wanted"),
        ('{"space": "MNI", "points": [[1, 2, 3]]}', "its space is 'MNI'"),
    ],
)
def test_json_that_holds_no_points_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        read_points(saved(tmp_path / "points.json", text))


def mesh(title: str, form: str, dtype: str, *, fields: bytes = b"") -> bytes:
    head = f"# vtk DataFile Version 3.0\n{title}\n{form}\nDATASET POLYDATA\n".encode()
    kind = {"f": b"float", "d": b"double"}[dtype]
    body = struct.pack(f">9{dtype}", *CORNERS.ravel()) + b"\n" if form == "BINARY" else b"0.1 2 3 4 5 6\n7 8 9 \n\n"
    return head + fields + b"POINTS 3 " + kind + b"\n" + body + FACES


@pytest.mark.parametrize("form", ["ASCII", "BINARY"])
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize(
    ("title", "fields", "space", "known"),
    [
        ("vtk output", b"", Space.LPS, Known.ASSUMED),
        ("3D Slicer output. SPACE=RAS", b"", Space.RAS, Known.SAID),
        ("vtk output", b"FIELD FieldData 1\nSPACE 1 1 string\n{}RAS\n", Space.RAS, Known.SAID),
    ],
)
def test_a_mesh_keeps_its_faces_and_tells_its_space(
    tmp_path: Path, form: str, dtype: str, title: str, fields: bytes, space: Space, known: Known
) -> None:
    fields = fields.replace(b"{}", b"\xc3" if form == "BINARY" else b"")
    path = tmp_path / "mesh.vtk"
    path.write_bytes(mesh(title, form, dtype, fields=fields))
    points = read_points(path)
    signs = np.array([-1, -1, 1]) if space is Space.RAS else 1
    stored = CORNERS.astype(np.float32).astype(float) if (form, dtype) == ("BINARY", "f") else CORNERS
    assert (points.coordinates == stored * signs).all()
    assert (points.space, points.known) == (space, known)
    write_points(points.through(SHIFT), path)
    raw = path.read_bytes()
    head, after = raw.split(b"POINTS 3 double\n")
    assert head == mesh(title, form, dtype, fields=fields).split(b"POINTS")[0]
    assert after.endswith(FACES)
    body = after[: -len(FACES)]
    found = np.frombuffer(body[:72], ">f8") if form == "BINARY" else np.array(body.split(), float)
    assert (found.reshape(3, 3) == (stored * signs + SHIFT[:3, 3]) * signs).all()
    for other in (Space.LPS, Space.RAS):
        write_points(points, path, other)
        assert (read_points(path).coordinates == points.coordinates).all()
        assert read_points(path).space is other


def test_normals_that_stay_behind_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mesh.vtk"
    path.write_bytes(mesh("vtk output", "ASCII", "d") + b"NORMALS n float\n0 0 1\n0 0 1\n0 0 1\n")
    with pytest.warns(MedregWarning, match="its normals are kept as they are"):
        write_points(read_points(path).through(SHIFT), path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (mesh("t", "BINARY", "d")[:-100], "is cut short, 3 points are announced"),
        (mesh("t", "ASCII", "d").split(b"POLYGONS")[0][:-6], "is cut short, 3 points are announced, 2 are there"),
        (mesh("t", "ASCII", "d").replace(b"POINTS 3 double", b"POINTS 3 bit"), "its points are of type 'bit'"),
        (mesh("t", "ASCII", "d").replace(b"0.1 2 3", b"a 2 3"), "a coordinate is no number"),
        (mesh("t", "ASCII", "d").replace(b"0.1 2 3", b"nan 2 3"), "point 1 is not finite"),
        (mesh("t", "TEXT", "d"), "neither ASCII nor BINARY"),
        (
            b"# vtk DataFile Version 3.0\nt\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 1 1 1\n",
            "STRUCTURED_POINTS has",
        ),
    ],
)
def test_a_damaged_mesh_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "mesh.vtk"
    path.write_bytes(raw)
    with pytest.raises(ReadError, match=message):
        read_points(path)
