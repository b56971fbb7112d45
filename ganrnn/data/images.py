"""Pictures between bytes, tensors and contact sheets."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ganrnn.errors import BadInput


def decode(data: bytes) -> Image.Image:
    """Decode bytes of any format that Pillow reads to an upright RGB picture, with white for transparency.

    Raises BadInput with the reason if the bytes cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data)) as stored:
            image = ImageOps.exif_transpose(stored)
            if image.has_transparency_data:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return image.convert("RGB")
    except UnidentifiedImageError as error:  # whose own sentence holds an address in memory
        raise BadInput("not a readable image (none of the formats that Pillow knows)") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"not a readable image ({error})") from error


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
