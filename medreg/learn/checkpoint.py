"""Models and unfinished trainings as safetensors files: numbers only, nothing that runs when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medreg.errors import ReadError
from medreg.learn.measures import Row
from medreg.learn.network import model_for
from medreg.learn.settings import Settings
from medreg.learn.training import Epoch, Training, begin
from medreg.nn import Warp

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam remembers of each parameter."""


def write_model(training: Training, path: Path) -> None:
    """The model alone; its settings are in the file's header, so that `read_model` needs nothing else."""
    _write(path, _tensors_of(training.model), {"kind": "model", "settings": training.settings.to_dict()})


def read_model(path: Path) -> Warp:
    """A trained model: images (N, 1, z, y, x) in, images moved back out.

    Raises:
        ReadError: the file is missing, damaged, or not a model of medreg.
    """
    tensors, header = _read(path, "model")
    model = model_for(Settings.from_dict(header["settings"]))
    _load(model, tensors, path)
    return model.eval()


def write_checkpoint(training: Training, path: Path) -> None:
    """All that it takes to go on as if nothing had happened: weights, Adam's moments, the epochs so far."""
    moments = {
        f"adam.{k}.{name}": training.optimiser.state[parameter][name].detach().cpu()
        for k, parameter in enumerate(training.model.parameters())
        for name in _MOMENTS
        if name in training.optimiser.state[parameter]
    }
    header = {
        "kind": "checkpoint",
        "settings": training.settings.to_dict(),
        "history": [asdict(epoch) for epoch in training.history],
    }
    _write(path, {**_tensors_of(training.model), **moments}, header)


def read_checkpoint(path: Path, device: str = "cpu") -> Training:
    """The training as it was; its images are drawn again from the seed.

    Raises:
        ReadError: the file is missing, damaged, or not a checkpoint of medreg.
    """
    tensors, header = _read(path, "checkpoint")
    training = begin(Settings.from_dict(header["settings"]), device)
    _load(training.model, {k: v for k, v in tensors.items() if not k.startswith("adam.")}, path)
    state = training.optimiser.state_dict()
    try:
        state["state"] = {
            k: {name: tensors[f"adam.{k}.{name}"] for name in _MOMENTS}
            for k, _ in enumerate(training.model.parameters())
            if header["history"]
        }
    except KeyError as error:
        raise ReadError(f"{path}: the optimiser's {error} is missing; start again with --overwrite") from None
    training.optimiser.load_state_dict(state)
    training.history = [Epoch(**{**epoch, "test": Row(**epoch["test"])}) for epoch in header["history"]]
    return training


def settings_in(path: Path) -> Settings:
    """The settings of an unfinished training.

    Raises:
        ReadError: see `read_checkpoint`.
    """
    return Settings.from_dict(_read(path, "checkpoint")[1]["settings"])


def _tensors_of(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def _load(model: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ReadError(f"{path}: its weights are not those of its settings ({error})".replace("\n", " ")) from None


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    path.write_bytes(save(dict(tensors), {"medreg": json.dumps(header)}))  # its save_file keeps files from the group


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ReadError(f"{path}: there is no such file")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["medreg"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ReadError(f"{path}: is damaged, or not a file of medreg train-inverse ({error})") from None
    if header.get("kind") != kind:
        raise ReadError(f"{path}: is a {header.get('kind')}, wanted a {kind}")
    return tensors, header
