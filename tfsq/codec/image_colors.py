"""From the colors of an image file to sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_PALETTE_OR_GRAY = ("1", "L", "P")
# Levels by which the profiles of sRGB that are around differ.
_SAME_COLOR = 2
# Flag of LittleCMS: without tables of its own, whose coarse steps make dark grays of light darker.
_EXACT: Any = 0x0100


def as_rgb(image, path):
    """Returns an image of Pillow as one of sRGB.

    Args:
      image: Image whose pixels are loaded; the profile in its `info` is minded.
      path: What to call it in errors.

    Raises:
      ValueError: if eight bits of RGB do not hold it, or its profile cannot be used.
    """
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise ValueError(
                f"{path} has transparent pixels, which tfsq does not code. Flatten it first."
            )
        image = image.convert("RGB")
    if image.mode in _PALETTE_OR_GRAY:
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise ValueError(
            f"{path} has Pillow mode {image.mode}; tfsq codes 8-bit RGB and gray. Convert it to "
            "RGB first."
        )
    return _as_srgb(image, path)


def _as_srgb(image, path):
    """Converts by the profile in the file; one for pixels of another kind says nothing of these."""
    if not image.info.get("icc_profile"):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB":
            return _from_rgb(image, profile)
        return _from_gray(image, profile) if space == "GRAY" and _is_gray(image) else image
    # Names in a damaged profile need not be ASCII.
    except (OSError, UnicodeDecodeError, ImageCms.PyCMSError) as error:
        raise ValueError(
            f"{path} has a color profile that cannot be used: {error}. Convert it to sRGB first, "
            "or strip the profile if the colors are sRGB (exiftool -icc_profile= FILE)."
        ) from error


def _from_rgb(image, profile):
    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    return image if _keeps_colors(to_srgb) else ImageCms.applyTransform(image, to_srgb)


def _keeps_colors(transform) -> bool:
    """Whether a conversion is that from sRGB: names of profiles are no guide."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(colors), transform))
    return int(np.abs(converted.astype(int) - colors).max()) <= _SAME_COLOR


def _is_gray(image) -> bool:
    """Whether pixels are gray, whatever held them: AVIF and WebP of grays come as RGB."""
    pixels = np.asarray(image)
    return bool((pixels == pixels[..., :1]).all())


def _from_gray(image, profile):
    """Converts level by level, so that gray stays gray: engines of color round each channel."""
    srgb = ImageCms.createProfile("sRGB")
    to_srgb = ImageCms.buildTransform(profile, srgb, "L", "RGB", flags=_EXACT)
    levels = np.arange(256, dtype=np.uint8)
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(levels[None]), to_srgb))[0]
    curve = np.rint(converted.mean(axis=-1)).astype(np.uint8)
    if np.abs(curve.astype(int) - levels).max() <= _SAME_COLOR:
        return image
    return image.point(curve.tolist() * 3)
