"""The network is the published one, learns, and does so the same way every time, stopped or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medreg.errors import ReadError
from medreg.learn.checkpoint import read_checkpoint, read_model, settings_in, write_checkpoint, write_model
from medreg.learn.measures import applied
from medreg.learn.network import count_of, model_for
from medreg.learn.settings import Settings
from medreg.learn.training import Epoch, Training, begin, order_of, rate_at


def timeless(history: list[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0.0) for epoch in history]


def ended(training: Training) -> Training:
    for _ in training.epochs():
        pass
    return training


def test_the_network_has_the_published_number_of_parameters() -> None:
    model = model_for(Settings.of("line"))
    assert count_of(model) == 19_859
    assert [p.numel() for p in model.parameters()] == [216, 8, 3456, 16, 13824, 32, 2048, 64, 192, 3]


@pytest.mark.parametrize("model", ["rotation", "affine"])
@pytest.mark.parametrize("phantom", ["line", "head"])
def test_an_untrained_model_moves_nothing(phantom: str, model: str) -> None:
    settings = Settings.of(phantom, model, images=2, test_images=1)  # type: ignore[arg-type]
    training = begin(settings)
    moved, matrices = applied(training.model, training.train.images)
    assert torch.equal(matrices, torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
    torch.testing.assert_close(moved, training.train.images, rtol=0, atol=1e-6)  # float32 voxels


def test_every_layer_gets_a_gradient_through_the_resampler(small: Settings) -> None:
    training = begin(small)
    next(training.epochs())  # the last layer starts at 0 and lets nothing through to those before it
    before = [p.detach().clone() for p in training.model.parameters()]
    next(training.epochs())
    assert all(not torch.equal(a, b) for a, b in zip(before, training.model.parameters(), strict=True))


def test_a_seed_names_the_whole_training(small: Settings) -> None:
    assert timeless(ended(begin(small)).history) == timeless(ended(begin(small)).history)
    assert timeless(ended(begin(replace(small, seed=4))).history) != timeless(ended(begin(small)).history)


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("model", ["rotation", "affine"])
def test_a_resumed_training_gives_the_same_numbers_as_one_that_was_not_stopped(
    small: Settings, model: str, stop: int, tmp_path: Path
) -> None:
    settings = replace(small, model=model)  # type: ignore[arg-type]
    whole = ended(begin(settings))
    stopped = begin(settings)
    for epoch in stopped.epochs():
        if epoch.number == stop:
            break
    write_checkpoint(stopped, tmp_path / "c.safetensors")
    assert settings_in(tmp_path / "c.safetensors") == settings
    resumed = ended(read_checkpoint(tmp_path / "c.safetensors"))
    assert timeless(resumed.history) == timeless(whole.history)
    for a, b in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_model_that_was_written_moves_images_as_the_trained_one(small: Settings, tmp_path: Path) -> None:
    training = ended(begin(small))
    write_model(training, tmp_path / "m.safetensors")
    images = training.test.images
    assert torch.equal(read_model(tmp_path / "m.safetensors")(images), training.model(images))


def test_files_that_are_no_checkpoints_are_told(small: Settings, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(ReadError, match="there is no such file"):
        read_checkpoint(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ReadError, match="damaged, or not a file of medreg train-inverse"):
        read_checkpoint(path)
    training = begin(small)
    write_model(training, path)
    with pytest.raises(ReadError, match="is a model, wanted a checkpoint"):
        read_checkpoint(path)
    write_checkpoint(training, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ReadError, match=r"x\.safetensors: is damaged"):
        read_checkpoint(path)


def test_the_rate_falls_along_half_a_cosine_and_each_epoch_has_its_own_order() -> None:
    assert [rate_at(2.0, done) for done in (0.0, 0.5, 1.0)] == pytest.approx([2.0, 1.0, 0.0])
    settings = Settings.of("line")
    orders = [order_of(settings, epoch) for epoch in range(2)]
    assert not torch.equal(*orders)
    assert all(sorted(order.tolist()) == list(range(100)) for order in orders)


def test_a_fifth_of_the_epochs_learns_most_of_it() -> None:
    """All 50 take half a minute and are measured in `benchmarks/train_inverse.py`."""
    training = ended(begin(Settings.of("line", epochs=10)))
    frame, last = training.frame(training.test), training.history[-1].test
    assert frame.oracle.mse < last.mse * 1.01  # a line's inverse is found but for its blur, not beaten by much
    assert last.mse < 0.5 * frame.baseline.mse
    assert last.miss_mm is not None and frame.baseline.miss_mm is not None
    assert last.miss_mm < 0.5 * frame.baseline.miss_mm
    assert frame.oracle.angle_deg == frame.oracle.miss_mm == 0.0
