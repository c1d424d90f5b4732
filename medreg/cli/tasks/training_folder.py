"""The folder of a training: a checkpoint while it runs, all outputs when it has ended."""

from __future__ import annotations

from pathlib import Path

from medreg.cli.tasks.folder import FilledAtOnce
from medreg.errors import UsageError, WriteError

CHECKPOINT = "checkpoint.safetensors"
RECORD = "metrics.json"
OUTPUTS = ("losses.png", "model.safetensors", "slices.png", RECORD)


class TrainingFolder(FilledAtOnce):
    """A folder of `metrics.json`, a model and pictures, among whatever else is there.

    The checkpoint lies in it from the first epoch on, and goes when the outputs come.
    """

    def __init__(self, path: Path, *, overwrite: bool, resume: bool) -> None:
        """See the base class; `resume`: there must be a checkpoint."""
        super().__init__(path, path, overwrite=overwrite)
        self._resume = resume
        self.checkpoint = path / CHECKPOINT

    def check(self) -> None:
        """See the base class.

        Raises:
            UsageError: nothing to resume, or both to resume and to overwrite.
        """
        if self.path.exists() and not self.path.is_dir():
            raise WriteError(f"{self.path}: is a file; name a folder for the outputs with --out")
        there = [name for name in OUTPUTS if (self.path / name).exists()]
        if self._resume:
            if self._overwrite:
                raise UsageError("--resume goes on with what --overwrite drops: choose one")
            if not self.checkpoint.exists():
                ended = "the training in it has ended" if there else "there is no training in it"
                raise UsageError(
                    f"--resume: {self.path} holds no {CHECKPOINT}, {ended}; leave --resume out to start one"
                )
        elif not self._overwrite:
            if there:
                raise WriteError(
                    f"{self.path}: holds {', '.join(there)} already; "
                    "add --overwrite to replace, or name another folder with --out"
                )
            if self.checkpoint.exists():
                raise WriteError(
                    f"{self.path}: holds an unfinished training; go on with --resume, or add --overwrite to drop it"
                )

    def put_in_place(self) -> None:
        """See the base class."""
        (self.path / RECORD).unlink(missing_ok=True)  # an old record must not vouch for new files
        for file in sorted(self.inside.iterdir(), key=lambda p: (p.name == RECORD, p.name)):
            file.replace(self.path / file.name)
        self.checkpoint.unlink(missing_ok=True)
