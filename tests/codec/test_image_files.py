import numpy as np
import pytest
from PIL import Image

from tests.photographs import photograph
from tfsq.codec import read_image, write_image


def save(image, path, **kwargs):
    image.save(path, **kwargs)
    return path


def test_png_round_trip(tmp_path):
    image = photograph()[:20, :30]
    write_image(image, tmp_path / "image.png")
    assert np.array_equal(read_image(tmp_path / "image.png"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_what_rgb_holds_is_read(tmp_path, mode):
    image = Image.fromarray(photograph()[:20, :30])
    expected = image.convert(mode).convert("RGB")
    path = save(image.convert(mode), tmp_path / "image.png")
    assert np.array_equal(read_image(path), np.asarray(expected))


def test_photograph_is_turned_upright(tmp_path):
    image = Image.fromarray(photograph()[:20, :30])
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(image, tmp_path / "image.png", exif=exif)
    assert np.array_equal(read_image(path), np.rot90(np.asarray(image), -1))


def test_transparency_is_refused_by_name(tmp_path):
    image = Image.new("RGBA", (4, 4), (1, 2, 3, 254))
    with pytest.raises(ValueError, match="image.png has transparent pixels"):
        read_image(save(image, tmp_path / "image.png"))
    palette = Image.new("P", (4, 4))
    with pytest.raises(ValueError, match="transparent pixels"):
        read_image(save(palette, tmp_path / "image.gif", transparency=0))


@pytest.mark.parametrize(("mode", "ending"), [("CMYK", "jpg"), ("I;16", "png"), ("F", "tiff")])
def test_what_rgb_does_not_hold_is_refused_by_name(tmp_path, mode, ending):
    path = save(Image.new(mode, (4, 4)), tmp_path / f"image.{ending}")
    with pytest.raises(ValueError, match="has Pillow mode"):
        read_image(path)


def test_files_that_are_no_images_are_refused(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="Not an image file"):
        read_image(path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"before")
    with pytest.raises(TypeError):
        write_image(np.zeros([2, 2, 5], np.uint8), path)
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1
    for ending in ("tfsq", "psd", "mpg"):
        with pytest.raises(ValueError, match="names no image format that Pillow writes"):
            write_image(photograph(), tmp_path / f"image.{ending}")
    with pytest.raises(FileNotFoundError, match="No such folder: .*missing"):
        write_image(photograph(), tmp_path / "missing" / "image.png")
