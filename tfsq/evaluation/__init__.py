"""Measuring codecs: figures of single images, classical references, comparisons, BD-rates."""

from tfsq.evaluation.bd_rates import MIN_BD_RATE_POINTS, bd_rate, shared_psnr
from tfsq.evaluation.cards import card_figures, summary
from tfsq.evaluation.comparison import (
    Comparison,
    Curve,
    Decoding,
    Measurement,
    read_comparison,
    write_comparison,
)
from tfsq.evaluation.comparison_figure import check_figure_file, draw_comparison
from tfsq.evaluation.figures import CodecFigures, Figures, ReferenceCodec, figures_of, measure
from tfsq.evaluation.html_report import HtmlReport
from tfsq.evaluation.latents import latent_batch
from tfsq.evaluation.references import REFERENCES, Reference, ReferenceAtQuality

__all__ = [
    "MIN_BD_RATE_POINTS",
    "REFERENCES",
    "CodecFigures",
    "Comparison",
    "Curve",
    "Decoding",
    "Figures",
    "HtmlReport",
    "Measurement",
    "Reference",
    "ReferenceAtQuality",
    "ReferenceCodec",
    "bd_rate",
    "card_figures",
    "check_figure_file",
    "draw_comparison",
    "figures_of",
    "latent_batch",
    "measure",
    "read_comparison",
    "shared_psnr",
    "summary",
    "write_comparison",
]
