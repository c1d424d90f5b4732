"""Files of points: CSV, Slicer's FCSV and markups, VTK, JSON and plain text; in memory all are LPS mm, float64."""

from medreg.io.points.files import form_of_suffix, read_points, write_points
from medreg.io.points.points import Form, Points
from medreg.io.points.space import Known, Space

__all__ = ["Form", "Known", "Points", "Space", "form_of_suffix", "read_points", "write_points"]
