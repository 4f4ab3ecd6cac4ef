"""Cards of codecs, as Hugging Face reads them: what a codec is, its use, its limits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence

from tfsq.codec.saved_model import files_of, read_metadata, told_of_codec
from tfsq.files import writing_whole

CARD_FILE = "README.md"
"""Name of the card in the folder of a codec."""
# The last line of a card, with the digest of the rest: it tells whether somebody edited the card.
_SIGNATURE = "<!-- Written by tfsq, {digest}: a card that was edited is kept. -->\n"
_SIGNED = re.compile(r"(.*)" + re.escape(_SIGNATURE).replace(r"\{digest\}", "([0-9a-f]{64})"), re.S)
_TAGS = ("image-compression", "learned-image-compression", "tensorflow", "keras")
# As Hugging Face writes licenses; of these two it knows no text.
_LICENSE, _NO_LICENSES = re.compile(r"[a-z0-9][a-z0-9.+-]*"), ("other", "unknown")
_ERRORS = {"mse": "squared error on pixels from 0 to 255", "ms-ssim": "1 - MS-SSIM"}


@dataclasses.dataclass(frozen=True)
class CardFacts:
    """What the folder of a codec does not say; a card calls unrecorded what is None.

    Attributes:
      title: Heading; the folder's name if None.
      summary: What the codec is for, in a sentence.
      license: Of the weights, by Hugging Face's identifier, such as "apache-2.0".
      terms: Of the weights, in words.
      datasets: Data sets that Hugging Face has, by their identifiers there.
      data: What it was trained on, and by whom it is.
      training: How it was trained.
      settings: Settings of the training, anything that JSON holds.
      figures: What was measured, and on what.

    Raises:
      ValueError: if a text is empty, the title has several lines, or the license is not written as
        Hugging Face writes it.
    """

    title: str | None = None
    summary: str | None = None
    license: str | None = None
    terms: str | None = None
    datasets: Sequence[str] = ()
    data: str | None = None
    training: str | None = None
    settings: Mapping | None = None
    figures: str | None = None

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, str) and not value.strip():
                raise ValueError(f"`{name}` must not be empty. Received: {value!r}")
        if self.title and len(self.title.splitlines()) > 1:
            raise ValueError(f"`title` must be one line. Received: {self.title!r}")
        if self.license and not _LICENSE.fullmatch(self.license):
            raise ValueError(
                "`license` must be an identifier of Hugging Face's, in lower case, such as "
                f"'apache-2.0'. Received: {self.license!r}"
            )


def model_card(folder, facts: CardFacts | None = None) -> str:
    """Returns the card of an exported codec.

    Args:
      folder: Folder of the codec.
      facts: What the folder does not say.

    Returns:
      Markdown with a block of metadata.

    Raises:
      ModelError: if the folder is not an exported codec.
    """
    folder, facts = pathlib.Path(folder), facts or CardFacts()
    metadata = read_metadata(folder)
    with told_of_codec(folder):
        what = _what(metadata, _size_of(folder))
    name = folder.resolve().name
    parts = [
        f"# {facts.title or name}",
        facts.summary or "A learned image codec, for the Python package tfsq.",
        "## Use\n\n" + _use(name, metadata),
        "## What it is\n\n" + what,
        "## Limits\n\n" + _limits(metadata),
        "## Training\n\n" + _training(facts),
        "## Data\n\n" + (facts.data or "What it was trained on is not recorded."),
        "## Figures\n\n" + (facts.figures or _unmeasured(name)),
        "## Terms\n\n" + (facts.terms or _terms(facts.license)),
    ]
    text = _header(facts) + "\n" + "\n\n".join(parts) + "\n\n"
    return text + _SIGNATURE.format(digest=_digest_of(text))


def write_model_card(folder, facts: CardFacts | None = None) -> bool:
    """Writes the card of an exported codec into its folder, as `README.md`.

    A card that somebody wrote or edited stays as it is.

    Args:
      folder: Folder of the codec.
      facts: What the folder does not say.

    Returns:
      Whether the card was written.

    Raises:
      ModelError: if the folder is not an exported codec.
      OSError: if the card cannot be written.
    """
    file = pathlib.Path(folder) / CARD_FILE
    text = model_card(folder, facts)
    if file.exists() and not _is_of_tfsq(file):
        return False
    with writing_whole(file) as unfinished:
        # Names of folders may be any bytes.
        unfinished.write_bytes(text.encode("utf-8", "backslashreplace"))
    return True


def _is_of_tfsq(file: pathlib.Path) -> bool:
    signed = _SIGNED.fullmatch(file.read_bytes().decode("utf-8", "replace"))
    return signed is not None and signed[2] == _digest_of(signed[1])


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _size_of(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in files_of(folder))


def _header(facts: CardFacts) -> str:
    """The block that Hugging Face reads; strings as JSON writes them, which YAML reads likewise."""
    lines = ["library_name: tfsq", "pipeline_tag: image-to-image", "tags:"]
    lines += [f"- {tag}" for tag in _TAGS]
    if facts.license:
        lines.insert(0, f"license: {json.dumps(facts.license)}")
    if facts.datasets:
        lines += ["datasets:", *(f"- {json.dumps(name)}" for name in facts.datasets)]
    return "\n".join(["---", *lines, "---", ""])


def _use(name: str, metadata: Mapping) -> str:
    model = f"--model {shlex.quote(name)}"
    quality = ""
    if metadata.get("lmbdas"):
        count = len(metadata["lmbdas"])
        quality = (
            f"\nOne network for every rate: `--quality 1` to `--quality {count}`, 2.5 as well.\n"
        )
    return f"""Beside the folder of this card, where tfsq is installed:

```sh
tfsq compress photo.png photo.tfsq {model}
tfsq decompress photo.tfsq decoded.png {model}
```
{quality}
```python
import tfsq

codec = tfsq.codec.load({json.dumps(name)})
data = tfsq.codec.compress(tfsq.codec.read_image("photo.png"), codec)
pixels = tfsq.codec.decompress(data, codec)
```"""


def _what(metadata: Mapping, size: int) -> str:
    config = metadata["config"]
    rates = metadata.get("lmbdas") or [metadata["lmbda"]]
    shortcut = {"dct": "with a shortcut that began as a DCT", None: "without a shortcut"}
    rows = [
        ("architecture", f"`{metadata['architecture']}`"),
        ("channels, hidden layers", config.get("num_filters")),
        ("channels, latent", config.get("num_latents")),
        ("transforms", shortcut.get(config.get("shortcut"))),
        ("lambda", ", ".join(f"{rate:g}" for rate in rates)),
        ("distortion", _ERRORS.get(metadata["distortion"], metadata["distortion"])),
        ("size", f"{size / 1e6:.1f} MB"),
        ("written by", f"tfsq {metadata['tfsq_version']}"),
        ("hash of the weights", f"`{metadata['model_hash']}`"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows if value is not None]
    return "| | |\n|---|---|\n" + "\n".join(lines)


def _limits(metadata: Mapping) -> str:
    rate = (
        "- Higher and lower rates than those of its qualities need another codec."
        if metadata.get("lmbdas")
        else "- One rate: its lambda decides how much is lost. Another rate needs another codec."
    )
    return f"""- Lossy: fine texture and small print suffer first. Images unlike those of its \
training lose more, or take more bytes.
- RGB and gray of 8 bits a channel. Transparent images, CMYK and more bits are refused.
{rate}
- A `.tfsq` file is read by this very network alone, which it names by its hash: keep this folder \
as long as its files.
- A SavedModel is a program: load folders of people whom you trust."""


def _training(facts: CardFacts) -> str:
    text = facts.training or "How it was trained is not recorded."
    if facts.settings:
        text += "\n\n```json\n" + json.dumps(dict(facts.settings), indent=2) + "\n```"
    return text


def _unmeasured(name: str) -> str:
    return (
        "None are recorded. This measures bits per pixel, PSNR and MS-SSIM on images of yours:\n\n"
        f"```sh\ntfsq evaluate photo.png --model {shlex.quote(name)}\n```"
    )


def _terms(license_name: str | None) -> str:
    if license_name and license_name not in _NO_LICENSES:
        return f"The weights are offered under {license_name}."
    return "No license is recorded: whoever publishes this codec chooses one, and adds it here."
