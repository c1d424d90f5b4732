"""The head's contrasts are what their names say, and none moves the head."""

import numpy as np
import phantom
import pytest
from anatomy import LANDMARKS, TISSUES, landmarks_mm

NAMES = [tissue.name for tissue in TISSUES]
GRID = phantom.Grid.centred((28, 34, 28), (7.0, 7.0, 7.0), (0, 6, -4))


def table(contrast):
    """Tissue to intensity."""
    return dict(zip(NAMES, contrast.table().tolist(), strict=True))


@pytest.mark.parametrize("contrast", [phantom.T1, phantom.T2, phantom.INVERTED, phantom.CT, phantom.EPI])
def test_a_contrast_names_tissues_that_the_head_has(contrast):
    assert np.isfinite(contrast.table()).all()


def test_the_inverted_head_and_the_t1_head_add_up_to_one_grey():
    both = phantom.INVERTED.table() + phantom.T1.table()
    assert np.ptp(both) == 0


def test_in_ct_air_soft_tissue_and_bone_stand_as_in_hounsfield_units():
    units = table(phantom.CT)
    assert units["background"] == units["airway"] == -1000
    soft = [units[name] for name in ("cortex", "white_matter", "thalamus", "csf", "muscle", "lesion")]
    assert np.ptp(soft) < 60 < units["diploe"] < units["bone"]  # HU
    assert max(units, key=units.get) == "bone"


def test_ct_noise_may_lie_below_the_air():
    image = phantom.render(GRID, phantom.CT, noise=0.01, seed=1)
    assert image.min() < -1000 and abs(np.median(image[0]) + 1000) < 5  # HU, the first sagittal slice is air


def test_an_epi_loses_its_signal_about_the_sinuses_and_nowhere_else():
    whole = phantom.Contrast(phantom.EPI.intensities)
    over_sphenoid = np.array([[7.0, -24.0, -24.0]]).T  # under the frontal lobe, LPS mm
    lesion = landmarks_mm()["left_lesion"][:, None]
    for points, low, high in ((over_sphenoid, 0.0, 0.5), (lesion, 0.99, 1.0)):
        share = phantom.remaining(points.astype(np.float32), phantom.EPI.dropout_mm)
        assert low <= share[0] <= high
        kept, full = (phantom.appearance(points, contrast)[0] for contrast in (phantom.EPI, whole))
        np.testing.assert_allclose(kept, share[0] * full, rtol=1e-5)


def test_drop_out_belongs_to_the_head_and_moves_with_it():
    pose = phantom.pose((10, -5, 20), (8, -6, 4))
    points = np.array(list(LANDMARKS.values()), np.float64).T
    grid = phantom.Grid.centred((1, 1, 1), (1, 1, 1), (0, 0, 0))
    for point in points.T:
        still = phantom.render(phantom.Grid.centred(grid.size, (1, 1, 1), point), phantom.EPI)
        there = phantom.apply(pose, point[:, None])[:, 0]
        gone = phantom.render(phantom.Grid.centred(grid.size, (1, 1, 1), there), phantom.EPI, pose)
        np.testing.assert_allclose(gone, still, atol=0.05)  # of 165: points pass through the pose in float32


def test_without_drop_out_nothing_is_lost():
    assert phantom.T1.dropout_mm == phantom.T2.dropout_mm == phantom.CT.dropout_mm == 0
