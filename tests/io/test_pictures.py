"""Pictures come in as Pillow shows them: every kind of pixel, upright, without transparency; the rest is refused."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image, ImageOps

from medreg.errors import ImageError, MedregWarning, ReadError
from medreg.io import read_stored, write_image

WIDE, HIGH = 30, 20
RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (HIGH, WIDE), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)
OPACITY = RNG.integers(0, 256, (HIGH, WIDE, 1), dtype=np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(HIGH) * k, np.arange(WIDE) * 3) % 256 for k in (1, 2, 3)], -1).astype(
    np.uint8
)


def picture(pixels: np.ndarray, mode: str | None = None) -> Image.Image:
    """Pixels as Pillow's image."""
    made = Image.fromarray(pixels)
    return made if mode is None else made.convert(mode)


def shown(path: Path) -> np.ndarray:
    """(y, x, channel) as a viewer shows it: Pillow, upright, on white."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        grey = image.mode in ("L", "LA")
        over = Image.new("RGBA", image.size, (255, 255, 255, 255))
        over.alpha_composite(image.convert("RGBA"))
        return np.atleast_3d(np.asarray(over.convert("L" if grey else "RGB")))
    if image.mode in ("P", "1", "YCbCr"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return np.atleast_3d(np.asarray(image))


def read(path: Path) -> np.ndarray:
    """(y, x, channel) as medreg reads it."""
    return np.moveaxis(read_stored(path).array, 0, -1)


OPAQUE = {
    "grey.png": (picture(GREY), {}),
    "grey16.png": (picture(GREY.astype(np.uint16) * 251), {}),
    "colour.png": (picture(COLOUR), {}),
    "palette.png": (picture(COLOUR).quantize(16), {}),
    "palette2.png": (picture(GREY).quantize(3), {}),
    "bit.png": (picture(GREY > 128), {}),
    "grey.tif": (picture(GREY), {}),
    "grey16.tif": (picture(GREY.astype(np.uint16) * 251), {}),
    "float.tif": (picture(GREY.astype(np.float32) / 3), {}),
    "int.tif": (picture(GREY.astype(np.int32) * -1000), {}),
    "colour.tif": (picture(COLOUR), {}),
    "lzw.tif": (picture(COLOUR), {"compression": "tiff_lzw"}),
    "deflate.tif": (picture(COLOUR), {"compression": "tiff_adobe_deflate"}),
    "jpeg.tif": (picture(COLOUR), {"compression": "jpeg"}),
    "big.tif": (picture(GREY), {"big_tiff": True}),
    "palette.tif": (picture(COLOUR).quantize(16), {}),
    "bit.tif": (picture(GREY > 128), {}),
    "fax.tif": (picture(GREY > 128), {"compression": "group4"}),
    "negative.tif": (picture(GREY), {"tiffinfo": {262: 0}}),
    "palette.bmp": (picture(COLOUR), {}),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_every_kind_of_pixel_is_what_pillow_shows(name, tmp_path):
    image, options = OPAQUE[name]
    image.save(tmp_path / name, **options)
    expected = shown(tmp_path / name)
    stored = read_stored(tmp_path / name)
    assert stored.array.dtype == expected.dtype
    assert stored.metadata["unit"] == "px"
    np.testing.assert_array_equal(np.moveaxis(stored.array, 0, -1), expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_what_pillow_shows_but_for_rounding(mode, tmp_path):
    picture(SMOOTH // 4 + 60).convert(mode).save(tmp_path / "a.jpg", quality=95)
    expected = shown(tmp_path / "a.jpg").astype(int)
    assert np.abs(read(tmp_path / "a.jpg") - expected).max() <= 3  # two decoders, each rounds


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("grey.png", picture(np.concatenate([GREY[..., None], OPACITY], -1)), {}),
        ("colour.png", picture(np.concatenate([COLOUR, OPACITY], -1)), {}),
        ("colour.tif", picture(np.concatenate([COLOUR, OPACITY], -1)), {}),
        ("palette.png", picture(COLOUR).quantize(16), {"transparency": 3}),
        ("key.png", picture(GREY), {"transparency": int(GREY[3, 4])}),
        ("colourkey.png", picture(COLOUR), {"transparency": tuple(COLOUR[3, 4].tolist())}),
    ],
)
def test_transparency_is_laid_on_white_with_a_warning(name, image, options, tmp_path):
    image.save(tmp_path / name, **options)
    with pytest.warns(MedregWarning, match=r"pixels are transparent; they are laid on white"):
        got = read(tmp_path / name)
    expected = shown(tmp_path / name)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= 1  # grey value: Pillow rounds in integers


def test_16_bit_grey_with_transparency_keeps_its_bits(tmp_path):
    grey = RNG.integers(0, 65536, (HIGH, WIDE)).astype(np.uint16)
    _png(tmp_path / "a.png", np.stack([grey, np.full_like(grey, 65535)], -1), colour=4)
    np.testing.assert_array_equal(read(tmp_path / "a.png")[..., 0], grey)
    alpha = np.full_like(grey, 32768)
    _png(tmp_path / "b.png", np.stack([grey, alpha], -1), colour=4)
    with pytest.warns(MedregWarning, match="600 of 600"):
        half = read(tmp_path / "b.png")[..., 0]
    np.testing.assert_allclose(half, (grey * 32768.0 + 32767.0 * 65535) / 65535, atol=1)


def test_wholly_opaque_pictures_lose_their_alpha_without_a_word(tmp_path):
    picture(np.concatenate([COLOUR, np.full_like(OPACITY, 255)], -1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), COLOUR)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_an_orientation_tag_is_followed(name, orientation, tmp_path):
    tag = Image.Exif()
    tag[0x112] = orientation
    options = {"tiffinfo": {274: orientation}} if name == "a.tif" else {"exif": tag.tobytes()}
    if name == "a.jpg":
        options |= {"quality": 100, "subsampling": 0}
    picture(COLOUR).save(tmp_path / name, **options)
    expected = shown(tmp_path / name).astype(int)
    got = read(tmp_path / name)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= (3 if name == "a.jpg" else 0)  # two JPEG decoders


def test_the_spacing_of_a_turned_picture_is_turned_with_it(tmp_path):
    _tiff(tmp_path / "a.tif", GREY, {274: 6, 282: (40000, 1), 283: (20000, 1), 296: 3})
    stored = read_stored(tmp_path / "a.tif")
    assert stored.grid.size == (HIGH, WIDE)
    assert stored.grid.spacing == pytest.approx((5e-4, 2.5e-4))


@pytest.mark.parametrize(
    ("name", "image", "options", "why"),
    [
        ("a.jpg", picture(COLOUR).convert("CMYK"), {}, "CMYK, the colours of printing inks"),
        ("a.tif", picture(COLOUR).convert("CMYK"), {}, "CMYK"),
        ("a.tif", picture(COLOUR).convert("LAB"), {}, r"L\*a\*b\*"),
        ("a.tif", picture(np.concatenate([GREY[..., None], OPACITY], -1)), {}, "grey with transparency"),
        (
            "a.tif",
            picture(GREY),
            {"save_all": True, "append_images": [picture(GREY[:10])]},
            "2 pages of different sizes .30x20, 30x10.",
        ),
    ],
)
def test_what_would_be_read_wrong_is_refused_with_what_to_do(name, image, options, why, tmp_path):
    image.save(tmp_path / name, **options)
    with pytest.raises(ImageError, match=rf"{name}: holds .*{why}.*save"):
        read_stored(tmp_path / name)


def test_12_bit_numbers_are_refused(tmp_path):
    _tiff(tmp_path / "a.tif", GREY, {258: 12})
    with pytest.raises(ImageError, match="numbers of 12 bits"):
        read_stored(tmp_path / "a.tif")


def test_16_bit_floats_are_refused_rather_than_read_as_integers(tmp_path):
    _tiff(tmp_path / "a.tif", GREY.astype(np.float16), {258: 16, 339: 3})
    with pytest.raises(ImageError, match="numbers of 16 bits .sample format 3."):
        read_stored(tmp_path / "a.tif")


def test_pages_of_one_size_are_a_volume(tmp_path):
    pages = [GREY, GREY[::-1], 255 - GREY]
    first, *more = map(picture, pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=more)
    stored = read_stored(tmp_path / "a.tif")
    assert stored.grid.size == (WIDE, HIGH, 3)
    np.testing.assert_array_equal(stored.array[0], np.stack(pages))


@pytest.mark.parametrize(
    "description",
    [
        "ImageJ=1.53t\nimages=3\nchannels=3\nmode=composite\n",
        '<?xml version="1.0"?><OME><Image><Pixels SizeX="30" SizeY="20" SizeZ="1" SizeC="3" SizeT="1"/></Image></OME>',
    ],
)
def test_pages_that_are_channels_are_one_picture(description, tmp_path):
    pages = [GREY, GREY[::-1], 255 - GREY]
    first, *more = map(picture, pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=more, tiffinfo={270: description})
    stored = read_stored(tmp_path / "a.tif")
    assert stored.grid.size == (WIDE, HIGH)
    np.testing.assert_array_equal(stored.array, np.stack(pages))


@pytest.mark.parametrize(("axes", "why"), [("channels=2\nslices=2", "2 channels"), ("frames=4", "4 frames in time")])
def test_pages_of_more_than_one_kind_are_refused(axes, why, tmp_path):
    tags = {270: f"ImageJ=1.53t\nimages=4\n{axes}\n"}
    picture(GREY).save(tmp_path / "a.tif", save_all=True, append_images=[picture(GREY)] * 3, tiffinfo=tags)
    with pytest.raises(ImageError, match=why):
        read_stored(tmp_path / "a.tif")


def test_coarser_copies_beside_the_picture_are_left_alone(tmp_path):
    copies = [picture(GREY[:10, :15]), picture(GREY[:5, :7])]
    for copy in copies:
        copy.encoderinfo = {"tiffinfo": {254: 1}}
    picture(GREY).save(tmp_path / "a.tif", save_all=True, append_images=copies)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], GREY)


UM = "\N{MICRO SIGN}m"
OME = '<OME xmlns="http://x"><Image><Pixels PhysicalSizeX="0.25" PhysicalSizeY="0.5"{}/></Image></OME>'


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({282: (40000, 1), 283: (20000, 1), 296: 3}, (2.5e-4, 5e-4)),  # dots a cm: a microscope's
        ({282: (25400, 1), 283: (25400, 1), 296: 2}, (1e-3, 1e-3)),  # dots an inch
        ({282: (300, 1), 283: (300, 1), 296: 2}, None),  # how it is printed
        ({282: (118, 1), 283: (118, 1), 296: 3}, None),  # the same, in cm
        ({282: (40000, 1), 283: (40000, 1), 296: 1}, None),  # a ratio, no length
        ({282: (0, 1), 283: (0, 0), 296: 3}, None),
        ({270: "ImageJ=1.53t\nunit=micron\n", 282: (4, 1), 283: (2, 1), 296: 1}, (2.5e-4, 5e-4)),
        ({270: "ImageJ=1.53t\nunit=\\u00B5m\n", 282: (4, 1), 283: (2, 1), 296: 1}, (2.5e-4, 5e-4)),
        ({270: "ImageJ=1.53t\nunit=mm\n", 282: (4, 1), 283: (2, 1), 296: 1}, (0.25, 0.5)),
        ({270: "ImageJ=1.53t\nunit=inch\n", 282: (300, 1), 283: (300, 1), 296: 2}, None),
        ({270: "ImageJ=1.53t\nunit=pixel\n", 282: (1, 1), 283: (1, 1), 296: 1}, None),
        ({270: OME.format("")}, (2.5e-4, 5e-4)),  # OME's default is the micrometre
        ({270: OME.format(f' PhysicalSizeXUnit="{UM}" PhysicalSizeYUnit="nm"')}, (2.5e-4, 5e-7)),
        ({270: OME.format(' PhysicalSizeXUnit="pixel"')}, None),
    ],
)
def test_lengths_are_taken_where_they_measure_the_object(tags, spacing, tmp_path):
    _tiff(tmp_path / "a.tif", GREY, tags)
    stored = read_stored(tmp_path / "a.tif")
    np.testing.assert_array_equal(stored.array[0], GREY)
    assert stored.metadata["unit"] == ("px" if spacing is None else "mm")
    assert stored.grid.spacing == pytest.approx(spacing or (1, 1), rel=1e-9)


def test_a_microscopes_resolution_survives_writing_and_reading(tmp_path):
    _tiff(tmp_path / "a.tif", GREY, {282: (40000, 1), 283: (20000, 1), 296: 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_image(read_stored(tmp_path / "a.tif"), tmp_path / "b.tif")
    assert read_stored(tmp_path / "b.tif").grid.spacing == pytest.approx((2.5e-4, 5e-4), rel=1e-6)  # float32 tags
    assert sitk.ReadImage(str(tmp_path / "b.tif")).GetSpacing() == pytest.approx((2.5e-4, 5e-4), rel=1e-6)


@pytest.mark.parametrize("keep", [3, 6, 40, 200])
def test_a_tiff_that_is_cut_short_is_a_read_error(keep, tmp_path):
    picture(COLOUR).save(tmp_path / "whole.tif", compression="tiff_lzw")
    (tmp_path / "a.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:keep])
    with pytest.raises(ReadError, match="a.tif"):
        read_stored(tmp_path / "a.tif")


def test_tags_that_go_in_circles_are_refused(tmp_path):
    _tiff(tmp_path / "a.tif", GREY, {}, next_page=8)
    with pytest.raises(ReadError, match="pages of this TIFF go in circles"):
        read(tmp_path / "a.tif")


def test_damaged_exif_is_no_reason_to_refuse_a_picture(tmp_path):
    picture(COLOUR).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\0\0")
    assert read_stored(tmp_path / "a.jpg").grid.size == (WIDE, HIGH)


def _tiff(path: Path, pixels: np.ndarray, tags: dict[int, object], next_page: int = 0) -> None:
    """An uncompressed little-endian TIFF of one grey page, by hand; `tags` beside or instead of the usual ones."""
    high, wide = pixels.shape
    raw = pixels.tobytes()
    fields = {256: wide, 257: high, 258: 8 * pixels.itemsize, 259: 1, 262: 1, 277: 1, 278: high, 279: len(raw)}
    fields = dict(sorted({**fields, 273: 0, **tags}.items()))
    at = 8 + 2 + 12 * len(fields) + 4
    entries, beyond = b"", b""
    for tag, value in fields.items():
        if isinstance(value, str):
            text = value.encode() + b"\0"
            entries += struct.pack("<HHII", tag, 2, len(text), at + len(beyond))
            beyond += text + b"\0" * (len(text) % 2)
        elif isinstance(value, tuple):
            entries += struct.pack("<HHII", tag, 5, 1, at + len(beyond))
            beyond += struct.pack("<II", *value)
        else:
            entries += struct.pack("<HHI", tag, 3 if tag not in (273, 279) else 4, 1)
            entries += struct.pack("<HH", value, 0) if tag not in (273, 279) else struct.pack("<I", value)
    place = struct.pack("<HHII", 273, 4, 1, at + len(beyond))
    entries = entries.replace(struct.pack("<HHII", 273, 4, 1, 0), place)
    path.write_bytes(
        struct.pack("<2sHIH", b"II", 42, 8, len(fields)) + entries + struct.pack("<I", next_page) + beyond + raw
    )


def _png(path: Path, pixels: np.ndarray, colour: int) -> None:
    """A 16-bit PNG by hand: Pillow writes none with transparency."""
    import zlib

    high, wide = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = {
        b"IHDR": struct.pack(">IIBBBBB", wide, high, 16, colour, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    chunks = (struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in body.items())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
