"""Points in rows of text: every header that tools write, all digits, and errors that say what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medreg.errors import MedregWarning, ReadError, UsageError, WriteError
from medreg.io.points import Form, Known, Points, Space, read_points, write_points

RANDOM = np.random.default_rng(3).normal(size=(5, 3)) * 97.1

ANTS = "x,y,z,t,label,comment\n1.25,-2.5,3,0,1,front\n4,5,-6.125,0,2,\n"
FCSV = """# Markups fiducial file version = 4.10
# CoordinateSystem = {}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtkMRMLMarkupsFiducialNode_0,1.25,-2.5,3,0,0,0,1,1,1,0,AC,"in, front",vtkMRMLScalarVolumeNode1
vtkMRMLMarkupsFiducialNode_1,4,5,-6.125,0,0,0,1,1,0,1,PC,,
"""
LPS = [[1.25, -2.5, 3.0], [4.0, 5.0, -6.125]]
RAS = [[-1.25, 2.5, 3.0], [-4.0, -5.0, -6.125]]


def written(folder: Path, text: str, name: str = "points.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "lps", "names", "known"),
    [
        (ANTS, LPS, ("1", "2"), Known.ASSUMED),
        ("1.25,-2.5,3\n4,5,-6.125\n", LPS, (), Known.ASSUMED),
        ("AC,1.25,-2.5,3\nPC,4,5,-6.125\n", LPS, ("AC", "PC"), Known.ASSUMED),
        ("1.25;-2.5;3;AC\n4;5;-6.125;PC\n", LPS, ("AC", "PC"), Known.ASSUMED),
        ("X\tY\tZ\tname\n1.25\t-2.5\t3\tAC\n4\t5\t-6.125\tPC\n", LPS, ("AC", "PC"), Known.ASSUMED),
        ("name,R,A,S\nAC,1.25,-2.5,3\nPC,4,5,-6.125\n", RAS, ("AC", "PC"), Known.SAID),
        ("S;name;L;P\n3;AC;1.25;-2.5\n-6.125;PC;4;5\n", LPS, ("AC", "PC"), Known.SAID),
        ("# space: RAS\nx,y,z\n1.25,-2.5,3\n\n4,5,-6.125\n", RAS, (), Known.SAID),
        ("# coordinateSystem = LPS\nx,y,z\n1.25,-2.5,3\n4,5,-6.125\n", LPS, (), Known.SAID),
        ("x (mm), y (mm), z (mm)\n1.25, -2.5, 3\n4, 5, -6.125\n", LPS, (), Known.ASSUMED),
        ("x_ras,y_ras,z_ras\n1.25,-2.5,3\n4,5,-6.125\n", RAS, (), Known.SAID),
        ("\ufeffx,y,z\r\n1.25,-2.5,3\r\n4,5,-6.125\r\n", LPS, (), Known.ASSUMED),
        (",x,y,z\n7,1.25,-2.5,3\n9,4,5,-6.125\n", LPS, ("7", "9"), Known.ASSUMED),
        (FCSV.format("0"), RAS, ("AC", "PC"), Known.SAID),
        (FCSV.format("RAS"), RAS, ("AC", "PC"), Known.SAID),
        (FCSV.format("1"), LPS, ("AC", "PC"), Known.SAID),
        (FCSV.format("LPS"), LPS, ("AC", "PC"), Known.SAID),
    ],
)
def test_a_table_is_read_whatever_its_header(
    tmp_path: Path, text: str, lps: list[list[float]], names: tuple[str, ...], known: Known
) -> None:
    points = read_points(written(tmp_path, text))
    assert points.coordinates.tolist() == lps
    assert points.names == names
    assert points.known is known


def test_plain_text_and_old_fcsv_are_ras_and_elastix_points_are_lps_unless_asked_otherwise(tmp_path: Path) -> None:
    plain = written(tmp_path, "1.25 -2.5  3\n4 5 -6.125\n", "points.txt")
    assert read_points(plain).coordinates.tolist() == RAS
    assert read_points(plain).sentence == "RAS, which plain text is taken to be where it does not say"
    assert read_points(plain, Space.LPS).coordinates.tolist() == LPS
    assert read_points(plain, Space.LPS).sentence == "LPS, as asked"
    old = FCSV.replace("# CoordinateSystem = {}\n", "")
    assert read_points(written(tmp_path, old, "old.fcsv")).coordinates.tolist() == RAS
    elastix = written(tmp_path, "point\n2\n1.25 -2.5 3\n4 5 -6.125\n", "elastix.txt")
    assert read_points(elastix).coordinates.tolist() == LPS
    assert read_points(elastix).known is Known.SAID


def test_what_the_caller_asks_for_wins_over_the_file_and_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, FCSV.format("LPS"), "points.fcsv")
    with pytest.warns(MedregWarning, match="says that its points are LPS; read as RAS, as asked"):
        assert read_points(path, Space.RAS).coordinates.tolist() == RAS


def test_two_coordinates_are_those_of_a_picture_and_stay_as_they_are(tmp_path: Path) -> None:
    points = read_points(written(tmp_path, ",X,Y\n1,63,309\n2,77,441.5\n"))
    assert (points.space, points.dimension, points.names) == (Space.PICTURE, 2, ("1", "2"))
    assert points.coordinates.tolist() == [[63.0, 309.0], [77.0, 441.5]]
    assert points.sentence == "pixels of a picture, x to the right, y down (two coordinates)"


@pytest.mark.parametrize("text", [ANTS, FCSV.format("0"), "\ufeffid;R;A;S\r\n1;2;3;4\r\n".replace("\ufeff", "")])
def test_what_stands_beside_points_is_written_again_to_the_byte(tmp_path: Path, text: str) -> None:
    name = "points.fcsv" if text.startswith("#") else "points.csv"
    path = written(tmp_path, text, name)
    write_points(read_points(path), tmp_path / f"again_{name}")
    assert (tmp_path / f"again_{name}").read_bytes() == path.read_bytes()


def test_only_the_coordinates_of_a_row_change(tmp_path: Path) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (0.1, 0, 0)
    path = written(tmp_path, FCSV.format("RAS"), "points.fcsv")
    write_points(read_points(path).through(shift), path)
    wanted = FCSV.format("RAS").replace(",1.25,", f",{-(-1.25 + 0.1)!r},").replace("_1,4,", f"_1,{-(-4 + 0.1)!r},")
    assert path.read_text() == wanted


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".fcsv", ".json", ".mrk.json", ".vtk", ".txt"])
@pytest.mark.parametrize("space", [Space.LPS, Space.RAS, None])
def test_every_digit_comes_back_from_every_format(tmp_path: Path, suffix: str, space: Space | None) -> None:
    points = Points(RANDOM, () if suffix in (".vtk", ".txt") else tuple("abcde"))
    path = tmp_path / f"points{suffix}"
    said = write_points(points, path, space)
    again = read_points(path, space if suffix == ".txt" else None)
    assert (again.coordinates == RANDOM).all()  # bit for bit: shortest decimals that give the float64 back
    assert again.names == points.names
    assert again.space is said
    assert said is (space or (Space.RAS if suffix == ".txt" else Space.LPS))


@pytest.mark.parametrize("to", [".csv", ".fcsv", ".json", ".mrk.json", ".vtk"])
def test_points_read_as_ras_are_found_at_the_same_place_in_any_other_format(tmp_path: Path, to: str) -> None:
    points = read_points(written(tmp_path, "1.25 -2.5 3\n4 5 -6.125\n", "points.txt"))
    write_points(points, tmp_path / f"there{to}")
    assert read_points(tmp_path / f"there{to}").coordinates.tolist() == RAS


def test_texts_beside_points_reach_csv_from_other_formats(tmp_path: Path) -> None:
    write_points(read_points(written(tmp_path, FCSV.format("RAS"), "a.fcsv")), tmp_path / "b.csv")
    first, second, *_ = (tmp_path / "b.csv").read_text().splitlines()
    assert first == "name,R,A,S,id,ow,ox,oy,oz,vis,sel,lock,desc,associatedNodeID"
    assert second.startswith("AC,1.25,-2.5,3.0,vtkMRMLMarkupsFiducialNode_0,") and '"in, front"' in second


def test_another_space_is_told_by_the_file(tmp_path: Path) -> None:
    points = read_points(written(tmp_path, ANTS))
    write_points(points, tmp_path / "ras.csv", Space.RAS)
    assert (tmp_path / "ras.csv").read_text().startswith("R,A,S,t,label,comment\n-1.25,2.5,3,0,1,front\n")
    assert read_points(tmp_path / "ras.csv").coordinates.tolist() == LPS
    old = read_points(written(tmp_path, FCSV.replace("# CoordinateSystem = {}\n", ""), "old.fcsv"))
    write_points(old, tmp_path / "lps.fcsv", Space.LPS)
    assert read_points(tmp_path / "lps.fcsv").coordinates.tolist() == RAS
    assert read_points(tmp_path / "lps.fcsv").space is Space.LPS


def test_a_plane_s_points_with_three_columns_are_moved_in_their_plane(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y,z,t\n1,2,0,0\n3,4,0,0\n")
    matrix = np.array([[1.0, 0, 10], [0, 1, 20], [0, 0, 1]])
    write_points(read_points(path).through(matrix), path)
    assert path.read_text() == "x,y,z,t\n11.0,22.0,0,0\n13.0,24.0,0,0\n"
    with pytest.raises(UsageError, match="the points have 3 coordinates, 2 are needed here"):
        read_points(written(tmp_path, "x,y,z\n1,2,3\n")).through(matrix)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("x,y,z\n", "holds no points, only a header"),
        ("# nothing\n\n", "holds no points"),
        ("x,y,z\n1,2,nan\n", "line 2 has the coordinate nan, which is not finite"),
        ("x,y,z\n1,2,inf\n", "not finite"),
        ("x,y,z\n1,2,3\n1,2\n", "line 3 has 2 columns, 3 are wanted as in the header"),
        ("1,2,3\n1,2,3,4\n", "line 2 has 4 columns, 3 are wanted as in line 1"),
        ("x,y,z\n1,2,three\n", "line 2 has 'three' where a coordinate is wanted"),
        ("x;y;z\n1,5;2;3\n", "write decimals with a point"),
        ("x,y,z\n1,,3\n", "line 2 has '' where a coordinate is wanted"),
        ("1,2,3,4\n", "line 1 has 4 columns, 4 of them numbers, and there is no header"),
        ("i,j,k\n1,2,3\n", "none of which are known as coordinates; voxel indices are no points, multiply them"),
        ("u,v,w\n1,2,3\n", "none of which are known as coordinates; call them x, y, z, or R, A, S"),
        ("1,5;2,5;3,5\n", "line 1 has '1,5' where a coordinate is wanted; write decimals with a point"),
        ("1,5 -2,5 3,25\n", "line 1 has 4 columns, 2 of them numbers.*; write decimals with a point"),
        ("x,y,z,x\n1,2,3,4\n", "'x' is there more than once"),
        ("# CoordinateSystem = IJK\nx,y,z\n1,2,3\n", "its coordinate system is 'IJK'"),
        ("index\n1\n1 2 3\n", "holds voxel indices"),
        ('x,y,z\n"1,2,3\n', "line 2 is no row of a table"),
        ("<VTKFile/>", "is XML"),
        ("\0\1\2", "is no file of points that medreg reads"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReadError, match=message) as told:
        read_points(path)
    assert str(path) in str(told.value)


def test_a_file_that_is_missing_or_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read_points(tmp_path / "none.csv")
    with pytest.raises(WriteError, match=r"medreg writes .mrk.json, .csv"):
        write_points(Points(RANDOM), tmp_path / "points.xls")
    plane = Points(RANDOM[:, :2], space=Space.PICTURE)
    for suffix in (".fcsv", ".mrk.json", ".vtk"):
        with pytest.raises(WriteError, match="3 coordinates, these points have 2|3 coordinates, these have 2"):
            write_points(plane, tmp_path / f"points{suffix}")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="choose LPS or RAS"):
        write_points(Points(RANDOM), tmp_path / "points.csv", Space.PICTURE)


def test_plain_text_says_that_it_drops_names(tmp_path: Path) -> None:
    with pytest.warns(MedregWarning, match="names of the points are left out"):
        write_points(Points(RANDOM[:1], ("a",)), tmp_path / "points.txt")
    assert read_points(tmp_path / "points.txt").form is Form.TEXT


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-8-sig", "utf-8"])
def test_text_in_any_encoding_that_tells_itself_is_read_the_same(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-be", "utf-16-le") else ""
    path = tmp_path / "points.csv"
    path.write_bytes(f"{mark}name,R,A,S\r\nStra\u00dfe \u03b8,1.25,-2.5,3\r\n\u982d,4,5,-6.125\r\n".encode(encoding))
    points = read_points(path)
    assert points.names == ("Stra\u00dfe \u03b8", "\u982d")
    assert points.coordinates.tolist() == RAS
    write_points(points, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes().decode(encoding).lstrip("\ufeff").encode("utf-8")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp1251"])
def test_text_in_an_encoding_that_nobody_can_tell_is_refused_with_its_line(tmp_path: Path, encoding: str) -> None:
    name = "\u043e\u043a\u043e" if encoding == "cp1251" else "M\u00fcnze"
    path = tmp_path / "points.csv"
    path.write_bytes(f"name,x,y,z\nAC,1,2,3\n{name},4,5,6\n".encode(encoding))
    with pytest.raises(ReadError, match=r"points.csv: is text, but not in UTF-8: line 3 holds .*; save it as UTF-8"):
        read_points(path)


@pytest.mark.parametrize(
    "raw", [b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\x1f\x8b\x08\xff\xfe", b"\xff\xfe\x00\x00x\x00\x00\x00"]
)
def test_bytes_that_are_no_text_are_not_called_text(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(raw)
    with pytest.raises(ReadError, match="is no file of points that medreg reads"):
        read_points(path)
