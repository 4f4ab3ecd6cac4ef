"""Which image files tfsq codes; others are refused by name, with what to do."""

from __future__ import annotations

from tfsq.codec import image_headers
from tfsq.codec.container import MAX_PIXELS, MAX_SIDE, is_codable

# Tags of TIFF, the format of most cameras' raw files, and what they say.
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_IFDS = 254, 255, 330
_REDUCED_OR_MASK, _OLD_REDUCED = 1 | 4, 2
# Cameras write previews and second views as further frames of such a file.
_STILLS_OF_SEVERAL_FRAMES = ("MPO",)
# Pillow's name for the floats of DDS.
_FLOATS_OF_DDS = ("BC6H", "BC6HS")


class RefusedError(ValueError):
    """What is not the file's fault."""


def check_kind(opened, file, path) -> None:
    """Raises RefusedError unless the file is one that tfsq codes; pixels are not decoded.

    Args:
      opened: Image of Pillow.
      file: What it was opened from; its position changes.
      path: What to call it.
    """
    width, height = opened.size
    if not is_codable(height, width):
        raise RefusedError(
            f"{path} has {width}x{height} pixels; tfsq codes up to {MAX_PIXELS}, at most "
            f"{MAX_SIDE} a side. Scale it down or cut it up first."
        )
    _check_whole(opened, path)
    _check_bits(opened, file, path)
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format not in _STILLS_OF_SEVERAL_FRAMES:
        raw = (
            "Develop it, if it is a camera's raw file, or save"
            if hasattr(opened, "tag_v2")
            else "Save"
        )
        raise RefusedError(
            f"{path} has {frames} frames; tfsq codes single images. {raw} one of them alone first."
        )


def _check_whole(opened, path) -> None:
    """Refuses a TIFF whose first image is a preview, or not all that the file holds."""
    tags = getattr(opened, "tag_v2", {})
    if _SUB_IFDS in tags:
        raise RefusedError(
            f"{path} holds further images in SubIFDs, as a camera's raw file or a pyramid does; "
            "tfsq codes single images. Develop or flatten it first."
        )
    is_preview = tags.get(_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK
    if is_preview or tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED:
        raise RefusedError(
            f"{path} begins with a preview or a mask, not with an image. Develop it, if it is a "
            "camera's raw file, or save the image alone first."
        )


def _check_bits(opened, file, path) -> None:
    """Refuses what Pillow would reduce to 8 bits, which the mode of most kinds does not say."""
    if opened.format == "JPEG2000":
        bits = image_headers.bits_of_jpeg2000(file)
        if min(bits) < 8 >= max(bits):
            # Pillow shifts them, so that white would be gray.
            raise RefusedError(
                f"{path} has {min(bits)} bits a channel, which Pillow reads too dark from JPEG "
                "2000. Convert it to 8 bits first."
            )
        is_deep = max(bits) > 8
    elif opened.format == "AVIF":
        is_deep = image_headers.bits_of_avif(file) > 8
    else:
        is_deep = _reduced_by_pillow(opened)
    are_floats = opened.mode == "F" or _has_floats(opened)
    if is_deep or are_floats or opened.mode.startswith("I"):
        raise _deep(path, are_floats)


def _deep(path, are_floats: bool) -> RefusedError:
    floats = " (floats)" if are_floats else ""
    return RefusedError(
        f"{path} has more than 8 bits a channel{floats}; tfsq codes 8-bit RGB and gray. Convert "
        "it to 8 bits first."
    )


def _has_floats(opened) -> bool:
    if any(tile[0] == "bcn" and tile[3][-1] in _FLOATS_OF_DDS for tile in opened.tile):
        return True
    return image_headers.samples_of_tags(getattr(opened, "tag_v2", {})).are_floats


def _reduced_by_pillow(opened) -> bool:
    """Whether tags or the arguments of Pillow's decoders say so."""
    if image_headers.samples_of_tags(getattr(opened, "tag_v2", {})).bits > 8:
        return True
    for decoder, _, _, arguments in opened.tile:
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        if decoder == "SGI16":
            return True
        if decoder == "dds_rgb" and any(mask.bit_length() > 8 for mask in _masks(arguments)):
            return True
        if opened.format == "PPM" and any(isinstance(x, int) and x > 255 for x in arguments):
            return True
        # 16 bits a channel; those of BGR;16 are 5, 6 and 5.
        if any(isinstance(x, str) and ";16" in x and x != "BGR;16" for x in arguments):
            return True
    return False


def _masks(arguments) -> list[int]:
    """The masks of channels in DDS, shifted to the right."""
    return [mask // (mask & -mask) for mask in arguments[-1] if mask]


def unidentified(file, path) -> ValueError:
    """Returns the error for a file that Pillow does not open.

    Args:
      file: Binary file object that can seek.
      path: What to call it.
    """
    known = image_headers.other_kind(file)
    if known:
        kind, remedy = known
        return RefusedError(f"{path} is {kind}, which tfsq does not read; {remedy}.")
    samples = image_headers.samples_of_unread(file)
    if samples and (samples.bits > 8 or samples.are_floats):
        return _deep(path, samples.are_floats)
    return ValueError(f"Not an image file: {path}")
