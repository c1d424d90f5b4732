"""A file appears whole or not at all, and nothing is left beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from medreg.errors import WriteError
from medreg.io.atomic import written_beside


def names(folder: Path) -> list[str]:
    """All entries of a folder, hidden ones too."""
    return sorted(p.name for p in folder.iterdir())


def test_the_file_is_not_there_before_the_block_ends(tmp_path):
    with written_beside(tmp_path / "a.nii.gz") as temporary:
        temporary.write_bytes(b"half")
        assert not (tmp_path / "a.nii.gz").exists()
        assert temporary.name == "a.nii.gz"
    assert (tmp_path / "a.nii.gz").read_bytes() == b"half"
    assert names(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(error, tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error), written_beside(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_files_written_next_to_it_come_along(tmp_path):
    with written_beside(tmp_path / "a.mhd") as temporary:
        temporary.write_text("header")
        temporary.with_suffix(".raw").write_text("data")
    assert names(tmp_path) == ["a.mhd", "a.raw"]


def test_a_full_disk_is_a_write_error_that_names_the_file(tmp_path):
    with (
        pytest.raises(WriteError, match=r"a\.txt: cannot be written, No space left"),
        written_beside(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(WriteError, match="nothing was written"), written_beside(tmp_path / "a.txt"):
        pass


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(WriteError, match="nowhere does not exist"), written_beside(tmp_path / "nowhere" / "a.txt"):
        pass


def test_a_directory_is_not_overwritten(tmp_path):
    with pytest.raises(WriteError, match="is a directory"), written_beside(tmp_path):
        pass


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with written_beside(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
