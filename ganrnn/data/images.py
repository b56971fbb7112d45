"""Pictures between bytes, tensors and contact sheets."""

import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ganrnn.errors import BadInput

# Decoders of pixels alone. Of what else Pillow reads, EPS starts Ghostscript, WMF and the stubs (BUFR, GRIB, HDF5,
# MPEG) need another program, and IPTC opens what it holds as any format. TGA has no signature and comes last.
_PHOTOGRAPHS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI")
FORMATS = (*_PHOTOGRAPHS, "ICO", "ICNS", "DIB", "DDS", "PSD", "PCX", "SGI", "SUN", "XBM", "XPM", "TGA")

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
_TIFF_WHITE_IS_ZERO, _TIFF_SIGNED = 0, 2
_SIXTEEN_BITS = 65_535

_ALLOWED = "allowed are 8, 12 or 16 bits without a sign, or floats from 0 to 1"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes) -> Image.Image:
    """Decode bytes of one of `FORMATS` to an upright RGB picture, with white for transparency.

    Of an animation it is the first frame. Grey of more than 8 bits is scaled from its declared range, floats from 0 to
    1. Raises BadInput with the reason if the bytes cannot be decoded or the range is unknown; the same bytes give the
    same reason.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_known_formats()) as stored:
            stored.load()
            if 0 in stored.size:
                raise BadInput("it has no pixels")
            # ImageOps.exif_transpose writes the EXIF data anew, and fails on values that nobody needs.
            orientation = _UPRIGHT.get(stored.getexif().get(ExifTags.Base.Orientation, 1))
            picture = _rgb(stored)
            return picture if orientation is None else picture.transpose(orientation)
    except UnidentifiedImageError as error:  # whose own sentence holds an address in memory
        raise BadInput("not a readable image (none of the formats that are read)") from error
    except Exception as error:  # damaged bytes make decoders raise anything, from KeyError to struct.error
        raise BadInput(f"not a readable image ({_reason(error)})") from error


@cache
def _known_formats() -> tuple[str, ...]:
    """The formats that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _rgb(stored: ImageFile.ImageFile) -> Image.Image:
    tags = stored.tag_v2 if isinstance(stored, TiffImageFile) else {}
    if _TIFF_SIGNED in tags.get(_TIFF_SAMPLE_FORMAT, ()):
        kind = f"int{tags[_TIFF_BITS][0]}"
        raise BadInput(f"signed whole numbers ({kind}), of which none is declared white; {_ALLOWED}")
    if stored.mode[0] in "IF":
        return Image.fromarray(_eight_bits(stored, tags)).convert("RGB")
    if stored.has_transparency_data:
        white = Image.new("RGBA", stored.size, "white")
        return Image.alpha_composite(white, stored.convert("RGBA")).convert("RGB")
    return stored.convert("RGB")


def _eight_bits(stored: ImageFile.ImageFile, tags: Mapping[int, Any]) -> np.ndarray:
    """Deep grey as uint8 [H, W]; BadInput where nothing says which value is white."""
    values = np.asarray(stored)
    if stored.mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise BadInput(f"grey of floats from {values.min():g} to {values.max():g}; allowed is 0 to 1")
        white = 1
    elif stored.mode == "I" and stored.format not in ("PNG", "PPM"):  # which Pillow scales to 16 bits
        raise BadInput(f"whole numbers of 32 bits, here from {values.min()} to {values.max()}; {_ALLOWED}")
    else:
        white = 2 ** tags[_TIFF_BITS][0] - 1 if _TIFF_BITS in tags else _SIXTEEN_BITS
    levels = (values * (255.0 / white)).round().astype(np.uint8)
    if tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO:
        levels = 255 - levels
    transparent = stored.info.get("transparency")
    return levels if transparent is None else np.where(values == transparent, np.uint8(255), levels)


def _reason(error: Exception) -> str:
    """The sentence of an exception without addresses in memory, which differ at each run."""
    text = _ADDRESS.sub("", " ".join(str(error).split()))
    if isinstance(error, OSError | SyntaxError | ValueError | Image.DecompressionBombError):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def scaled(data: bytes, height: int, width: int) -> np.ndarray:
    """Encoded bytes to uint8 [height, width, 3].

    Pictures of another size are resized by Pillow's LANCZOS filter, which averages over source pixels when it
    shrinks; the aspect ratio is not kept. Raises BadInput as `decode` does.
    """
    picture = decode(data)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] to PNG bytes; the same pixels give the same bytes."""
    return encode(image, "PNG")


def encode(image: np.ndarray, image_format: str) -> bytes:
    """uint8 [H, W, 3] to bytes of a format of Pillow: PNG, or JPEG and WEBP at a quality for the eye."""
    buffer = io.BytesIO()
    options = {"compress_level": 6} if image_format == "PNG" else {"quality": 95}
    Image.fromarray(image).save(buffer, format=image_format, **options)
    return buffer.getvalue()


def encode_animation(frames: Sequence[np.ndarray], image_format: str, milliseconds: int = 80) -> bytes:
    """Frames uint8 [H, W, 3] of one size to bytes of an endless WEBP or GIF; a frame lasts `milliseconds`."""
    buffer = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(
        buffer,
        format=image_format,
        save_all=True,
        append_images=others,
        duration=milliseconds,
        loop=0,
        **({"quality": 95} if image_format == "WEBP" else {}),
    )
    return buffer.getvalue()


def to_tensor(images: Sequence[bytes], size: tuple[int, int] | None = None) -> torch.Tensor:
    """Encoded pictures of one size, by default that of the first, to uint8 [N, 3, H, W].

    Raises BadInput as `decode` does, and for a picture of another size.
    """
    arrays = []
    for data in images:
        arrays.append(np.asarray(decode(data)))
        height, width = arrays[-1].shape[:2]
        size = size or (height, width)
        if (height, width) != size:
            raise BadInput(f"an image has {height} x {width} pixels, not {size[0]} x {size[1]}")
    return _stacked(arrays)


def to_scaled_tensor(images: Sequence[bytes], size: tuple[int, int]) -> torch.Tensor:
    """Encoded pictures of any size to uint8 [N, 3, H, W] of a size (H, W), by `scaled`. Raises BadInput as it does."""
    return _stacked([scaled(data, *size) for data in images])


def _stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 to float32 in -1 to 1."""
    return images.float() / 127.5 - 1


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """float32 in -1 to 1 to uint8, rounded once, values beyond the range clipped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(images: torch.Tensor, num_columns: int, zoom: int = 1) -> np.ndarray:
    """uint8 [N, 3, H, W] to one picture uint8 [rows * H * zoom, num_columns * W * zoom, 3], empty cells white."""
    count, channels, height, width = images.shape
    num_rows = -(-count // num_columns)
    cells = torch.full((num_rows * num_columns, channels, height, width), 255, dtype=torch.uint8)
    cells[:count] = images.cpu()
    sheet = cells.view(num_rows, num_columns, channels, height, width).permute(0, 3, 1, 4, 2)
    pixels = sheet.reshape(num_rows * height, num_columns * width, channels).numpy()
    return pixels.repeat(zoom, 0).repeat(zoom, 1)
