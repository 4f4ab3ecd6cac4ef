"""The options that commands which train share: those of `TrainingSettings`."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any, Dict, List, Optional

import typer

from tfsq.cli.shell import imported

# For help, which imports no networks.
_ARCHITECTURES = (
    "FactorizedPrior, ScaleHyperprior, MeanScaleHyperprior, JointAutoregressiveHyperprior, "
    "CheckerboardHyperprior or ChannelwiseAutoregressive"
)
_QUANTIZERS = "aun, sra, dsq, c3, unsr, soft, sga, sr, sua, ste or uq"
_LMBDAS = {"lmbda", "lmbdas"}


def _training_settings(
    lmbda: Optional[float] = typer.Option(
        None, help="Weight of the distortion against bits per pixel; 0.01 if none."
    ),
    lmbdas: Optional[str] = typer.Option(
        None,
        help="Of a network of many rates, in its place: several, each larger than the one before, "
        "with commas between them.",
    ),
    distortion: str = typer.Option("mse", help="'mse' or 'ms-ssim'."),
    architecture: str = typer.Option("MeanScaleHyperprior", help=f"Network: {_ARCHITECTURES}."),
    num_filters: int = typer.Option(32, help="Channels of the hidden layers."),
    num_latents: int = typer.Option(48, help="Channels of the latent."),
    hyper_width: Optional[int] = typer.Option(
        None, help="Channels of the hyper synthesis' first layer; as published if none."
    ),
    shortcut: str = typer.Option(
        "dct", help="'dct' for transforms that begin as a DCT, 'none' for the literature's."
    ),
    reconstruction_quantizer: str = typer.Option("sua", help=f"Surrogate: {_QUANTIZERS}."),
    rate_quantizer: str = typer.Option(
        "aun", help="Likewise, for the rate; 'same' is the reconstruction's, on the same noise."
    ),
    initial_temperature: float = typer.Option(1.0, help="Where annealing begins."),
    final_temperature: float = typer.Option(0.05, help="Where annealing ends."),
    annealing_start: float = typer.Option(
        0.75, help="Part of the steps in which the temperature stays where it begins."
    ),
    hard_fraction: float = typer.Option(0.0, help="Part of the steps that trains on hard latents."),
    scale_lower_bound: Optional[float] = typer.Option(
        None, help="Lower bound of the predicted scale; the network's own if none."
    ),
    stop_gradient: str = typer.Option("partial", help="'partial' or 'none'."),
    steps: int = typer.Option(10_000, help="Optimizer steps."),
    steps_per_epoch: int = typer.Option(500, help="Steps between checkpoints."),
    batch_size: int = typer.Option(4, help="Crops per step."),
    crop_size: int = typer.Option(128, help="Height and width of the crops."),
    least_detail: float = typer.Option(
        0.0, help="Crops that are flatter, by the mean difference of neighbors, are drawn again."
    ),
    learning_rate: float = typer.Option(
        2e-3, help="Learning rate at the start; for a few thousand steps 4e-3 may be better."
    ),
    seed: int = typer.Option(0, help="Seed of weights, crops and noise."),
    policy: str = typer.Option("float32", help="'float32' or 'mixed_bfloat16', which Keras knows."),
) -> Dict[str, Any]:
    """The arguments of `TrainingSettings`, from options that two commands share."""
    settings: Dict[str, Any] = dict(locals())
    settings["lmbdas"] = None if lmbdas is None else _numbers("--lmbdas", lmbdas)
    settings["rate_quantizer"] = None if rate_quantizer == "same" else rate_quantizer
    settings["shortcut"] = None if shortcut == "none" else shortcut
    return settings


def _numbers(option: str, text: str) -> List[float]:
    """The numbers of an option, with commas between them."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{option} must be numbers with commas between them. Received: {text}"
        ) from None


def begun_as(settings: Dict[str, Any], start: Path, context: typer.Context) -> Dict[str, Any]:
    """Settings with the network of the start, where options do not say otherwise."""
    found = imported("training").network_of(start)
    # The enumeration is Click's, or that of a Typer that brings its own Click.
    sources: Dict[str, Any] = {name: context.get_parameter_source(name) for name in found}
    named = {name for name, source in sources.items() if source.name != "DEFAULT"}
    # One takes the place of the other.
    if named & _LMBDAS:
        named |= _LMBDAS
    elif settings["distortion"] != found["distortion"] and "distortion" in named:
        raise ValueError(
            f"--distortion {settings['distortion']} needs --lmbda or --lmbdas: those of {start} "
            f"are for {found['distortion']}."
        )
    return {**settings, **{n: value for n, value in found.items() if n not in named}}


def with_training_settings(command):
    """Gives a command the options of `_training_settings`, as its argument `settings`."""
    own, shared = inspect.signature(command), inspect.signature(_training_settings)

    @functools.wraps(command)
    def run(**given):
        settings = _training_settings(**{name: given.pop(name) for name in shared.parameters})
        return command(**given, settings=settings)

    parameters = [p for p in own.parameters.values() if p.name != "settings"]
    parameters += shared.parameters.values()
    # What Typer makes options of.
    vars(run)["__signature__"] = own.replace(parameters=parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
