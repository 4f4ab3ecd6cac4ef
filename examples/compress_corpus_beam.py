"""Compresses a corpus of images with Apache Beam, on this machine or on many.

    pip install 'tfsq[beam]'
    python examples/compress_corpus_beam.py --images 'photos/**' --output compressed --quality 4

Writes `<output>/<path>.tfsq` for every image, and `<output>/manifest.jsonl`, a line for each with
its status: "compressed", "kept" (its file was there already) or "refused", with the reason. Run
again after an interruption, it compresses what is missing. Folders may be of any file system that
Beam knows; options that are not listed here are Beam's, `--runner` for instance.
"""

from __future__ import annotations

import argparse
import io
import json

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from tfsq import codec

WILDCARDS = "*?["
UNFINISHED = ".unfinished"


def folder_of(pattern: str) -> str:
    """The folder that all matches of a glob are in."""
    beginning = pattern
    while any(wildcard in beginning for wildcard in WILDCARDS) or beginning == pattern:
        beginning = FileSystems.split(beginning)[0]
    return beginning


def read(path: str) -> bytes:
    """The bytes of a file."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


def write_whole(data: bytes, path: str) -> None:
    """Writes a file under another name, and gives it its own at the end."""
    folder = FileSystems.split(path)[0]
    if not FileSystems.exists(folder):
        try:
            FileSystems.mkdirs(folder)
        except OSError:
            # Another worker was faster.
            if not FileSystems.exists(folder):
                raise
    with FileSystems.create(
        path + UNFINISHED, compression_type=CompressionTypes.UNCOMPRESSED
    ) as file:
        file.write(data)
    FileSystems.rename([path + UNFINISHED], [path])


class Compress(beam.DoFn):
    """Turns a matched file into a line of the manifest, and writes its `.tfsq` file.

    Args:
      folder: What the paths below `output` are relative to.
      output: Folder of the compressed files.
      quality: Of the bundled codec, see `tfsq.codec.compress`.
    """

    def __init__(self, folder: str, output: str, quality: float):
        super().__init__()
        self.folder, self.output, self.quality = folder, output, quality

    def setup(self):
        """Loads the codec, once for each worker."""
        self.codec = codec.shipped_codec()

    def process(self, found):
        """Yields the line of one file."""
        relative = found.path[len(self.folder) :].lstrip("/\\")
        target = FileSystems.join(self.output, relative + ".tfsq")
        line = {"image": found.path}
        try:
            yield {**line, **self.compressed(found, target)}
        except (OSError, ValueError) as error:
            yield {**line, "status": "refused", "reason": str(error)}

    def compressed(self, found, target: str) -> dict:
        """Compresses an image, unless that has been done since it was written."""
        data, status = self.finished(found, target), "kept"
        if data is None:
            image = codec.decode_image(io.BytesIO(read(found.path)), found.path)
            data, status = codec.compress(image, self.codec, quality=self.quality), "compressed"
            write_whole(data, target)
        container = codec.unpack(data)
        return {
            "status": status,
            "file": target,
            "height": container.height,
            "width": container.width,
            "bytes": len(data),
            "bpp": 8 * len(data) / (container.height * container.width),
        }

    def finished(self, found, target: str) -> bytes | None:
        """What is in the file of an image, if it is whole, as asked for, and not out of date."""
        matched = FileSystems.match([target])[0].metadata_list
        if not matched or matched[0].last_updated_in_seconds < found.last_updated_in_seconds:
            return None
        data = read(target)
        try:
            container = codec.unpack(data)
        except codec.BitstreamError:
            return None
        made_so = (self.codec.model_id, self.codec.checked_quality(self.quality))
        return data if (container.model_id, container.quality) == made_so else None


def main(arguments: list[str] | None = None) -> None:
    """Runs the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, help="A glob; '**' goes through folders.")
    parser.add_argument("--output", required=True, help="Folder to write to.")
    parser.add_argument("--quality", type=float, default=4.0, help="Of the bundled codec.")
    own, of_beam = parser.parse_known_args(arguments)
    # What cannot be is refused here rather than on the workers.
    codec.shipped_codec().checked_quality(own.quality)
    compress = Compress(folder_of(own.images), own.output, own.quality)
    with beam.Pipeline(options=PipelineOptions(of_beam)) as pipeline:
        _ = (
            pipeline
            | "Find" >> fileio.MatchFiles(own.images)
            | "Spread" >> beam.Reshuffle()
            | "Compress" >> beam.ParDo(compress)
            | "Line" >> beam.Map(json.dumps)
            | "Manifest"
            >> beam.io.WriteToText(
                FileSystems.join(own.output, "manifest.jsonl"), shard_name_template=""
            )
        )


if __name__ == "__main__":
    main()
