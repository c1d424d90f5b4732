"""The report of a run: `report.html` and `figure.png`, of a few planes through both images and of the record.

Only `sampling` needs torch: the rest may be done by whoever writes the files.
"""

PAGE, FIGURE = "report.html", "figure.png"
