"""Transforms in and out of files of every tool. In memory all are one thing: a matrix, fixed -> moving points, LPS mm.

`docs/transforms.md` tables the formats: names, direction, space, what each needs and what it cannot hold.
"""

from medreg.io.transforms.ends import End
from medreg.io.transforms.form import Form
from medreg.io.transforms.naming import LINEAR, PROJECTIVE, transform_name
from medreg.io.transforms.reading import form_of_file, read_transform, read_with_form
from medreg.io.transforms.writing import form_of_name, write_transform, written_files

__all__ = [
    "LINEAR",
    "PROJECTIVE",
    "End",
    "Form",
    "form_of_file",
    "form_of_name",
    "read_transform",
    "read_with_form",
    "transform_name",
    "write_transform",
    "written_files",
]
