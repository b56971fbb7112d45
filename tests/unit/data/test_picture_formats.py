"""Pictures of every depth and format: scaled by their declared range or refused with one reason, never clipped."""

import io
import random
import struct
import subprocess
import warnings

import numpy as np
import pytest
from PIL import Image

from ganrnn.data import images
from ganrnn.errors import BadInput

RAMP = np.arange(0, 65_536, 257, dtype=np.uint16).reshape(16, 16)  # the 256 levels of 8 bits, as 16 bits have them
LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()


def tiff(bits: int, photometric: int, sample_format: int, data: bytes) -> bytes:
    """A TIFF of 16 x 16 grey values of any depth, which Pillow reads and does not write."""
    tags = ((256, 16), (257, 16), (258, bits), (259, 1), (262, photometric), (273, 122), (277, 1), (279, len(data)))
    entries = [struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags]
    entries.append(struct.pack("<HHII", 339, 3, 1, sample_format))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    assert len(head) == 122
    return head + data


def twelve_bits() -> bytes:
    values = (RAMP >> 4).ravel().tolist()
    return b"".join((a << 12 | b).to_bytes(3, "big") for a, b in zip(values[::2], values[1::2], strict=True))


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(RAMP)),
        encoded(Image.fromarray(RAMP), "TIFF"),
        encoded(Image.fromarray(RAMP), "TIFF", compression="tiff_lzw"),
        encoded(Image.fromarray(RAMP), "JPEG2000"),
        encoded(Image.fromarray((RAMP / 65_535).astype(np.float32)), "TIFF"),
        tiff(12, 1, 1, twelve_bits()),
        b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes(),
        b"P5 16 16 4095\n" + (RAMP >> 4).astype(">u2").tobytes(),
    ],
    ids=["png", "tiff", "lzw", "jpeg2000", "float", "12 bits", "pgm", "pgm of 12 bits"],
)
def test_deep_grey_is_scaled_by_its_declared_range(data: bytes) -> None:
    assert np.array_equal(np.asarray(images.decode(data)), LEVELS[:, :, None].repeat(3, 2))


def test_values_between_two_levels_go_to_the_nearer_one() -> None:
    values = np.array([[0, 128, 129, 257, 65_406, 65_407]], np.uint16)
    assert np.asarray(images.decode(encoded(Image.fromarray(values))))[0, :, 0].tolist() == [0, 0, 1, 1, 254, 255]


def test_white_is_zero_and_transparent_grey_are_as_the_file_says() -> None:
    inverted = [tiff(16, 0, 1, RAMP.tobytes()), tiff(32, 0, 3, (RAMP / 65_535).astype("<f4").tobytes())]
    for data in inverted:
        assert np.array_equal(np.asarray(images.decode(data))[:, :, 0], 255 - LEVELS)
    (first, *others) = np.asarray(images.decode(encoded(Image.fromarray(RAMP), transparency=0)))[:, :, 0].ravel()
    assert first == 255 and others == list(range(1, 256))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), r"signed whole numbers \(int32\), of which none is"),
        (tiff(16, 1, 2, RAMP.tobytes()), r"signed whole numbers \(int16\), .*; allowed are 8, 12 or 16 bits without a"),
        (tiff(8, 1, 2, LEVELS.tobytes()), r"signed whole numbers \(int8\)"),
        (tiff(32, 1, 1, RAMP.astype("<u4").tobytes()), "whole numbers of 32 bits, here from 0 to 65535; allowed are 8"),
        (encoded(Image.fromarray(LEVELS.astype(np.float32)), "TIFF"), "grey of floats from 0 to 255; allowed is 0 to"),
        (encoded(Image.fromarray((LEVELS - 0.5).astype(np.float32)), "TIFF"), "grey of floats from -0.5 to 254.5"),
        (encoded(Image.fromarray(np.full((16, 16), np.nan, np.float32)), "TIFF"), "grey of floats from nan to nan"),
        (EPS, "none of the formats that are read"),
        (b"version https://git-lfs.github.com/spec/v1\n", "none of the formats that are read"),
    ],
)
def test_what_has_no_declared_white_is_refused_with_its_range(data: bytes, reason: str) -> None:
    with pytest.raises(BadInput, match=r"^not a readable image \(.*" + reason):
        images.decode(data)


def test_no_format_starts_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    for name in ("Popen", "check_call", "run"):
        monkeypatch.setattr(subprocess, name, refuse)
    for data in (EPS, b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(EPS)) + bytes(20) + EPS):
        with pytest.raises(BadInput, match=r"^not a readable image \(none of the formats that are read\)$"):
            images.decode(data)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("BMP", "RGB"), ("TIFF", "L")])
def test_eight_bits_keep_their_bytes(kind: str, mode: str) -> None:
    picture = Image.fromarray(COLOURS).convert(mode)
    assert np.array_equal(np.asarray(images.decode(encoded(picture, kind))), np.asarray(picture.convert("RGB")))


def test_inks_palettes_alpha_and_animations_have_known_colours() -> None:
    red, blue = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    decoded = [
        encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"),
        encoded(red.convert("P")),
        encoded(red, "GIF", save_all=True, append_images=[blue]),
        encoded(red, "WEBP", save_all=True, append_images=[blue], lossless=True),
        encoded(red, "TIFF", save_all=True, append_images=[blue]),
    ]
    assert {images.decode(data).getpixel((1, 1)) for data in decoded} == {(255, 0, 0)}
    assert images.decode(encoded(half)).getpixel((1, 1)) == (255, 127, 127)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_upright_whatever_else_its_camera_wrote(orientation: int) -> None:
    sideways = {6: 8, 8: 6}.get(orientation, orientation)  # the others undo themselves
    stored = images.decode(encoded(Image.fromarray(COLOURS), exif=_exif(sideways)))
    senseless = struct.pack("<HHIIHHIIIii", 0x112, 3, 1, orientation, 0x11A, 5, 1, 38, 0, -1, 0)
    senseless = senseless.replace(struct.pack("<HHI", 0x11A, 5, 1), struct.pack("<HHI", 0x11A, 10, 1))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + senseless  # a resolution of -1 / 0
    data = encoded(stored, "PNG", exif=exif)
    assert np.array_equal(np.asarray(images.decode(data)), COLOURS)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _seeds() -> list[bytes]:
    picture = Image.fromarray(COLOURS)
    exif = _exif(6)
    exif.get_ifd(0x8769)[0x829A] = 0.01
    kinds = ("AVIF", "DDS", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TIFF", "WEBP")
    plain = [encoded(picture, kind, **({"exif": exif} if kind in ("JPEG", "TIFF") else {})) for kind in kinds]
    return [
        *plain,
        encoded(Image.fromarray(RAMP)),
        encoded(picture.convert("F"), "TIFF"),
        tiff(12, 1, 1, twelve_bits()),
    ]


def test_damaged_pictures_cost_one_sentence_that_is_the_same_again() -> None:
    rng, seeds, reasons = random.Random(0), _seeds(), set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(300):
            data = bytearray(seeds[number % len(seeds)])
            for _ in range(rng.choice((1, 2, 4))):
                data[rng.randrange(min(len(data), rng.choice((64, 300, len(data)))))] = rng.choice((0, 127, 128, 255))
            if number % 5 == 0:
                del data[rng.randrange(len(data)) :]
            try:
                images.scaled(bytes(data), 8, 8)
            except BadInput as error:
                reasons.add(str(error))
                with pytest.raises(BadInput) as again:
                    images.scaled(bytes(data), 8, 8)
                assert str(again.value) == str(error)
    assert len(reasons) > 12 and not any("0x" in reason or "\n" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError(3), "not a readable image (KeyError: 3)"),
        (NotImplementedError(), "not a readable image (NotImplementedError)"),
        (OSError("cannot read <_io.BytesIO object at 0x7f00>\nagain"), "(cannot read <_io.BytesIO object> again)"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_sentence(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(BadInput) as refused:
        images.decode(b"")
    assert str(refused.value).endswith(sentence)
