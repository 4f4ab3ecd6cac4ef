"""What the two networks with a context model over positions share."""

from __future__ import annotations

import tensorflow as tf

from tfsq.architectures import transforms
from tfsq.architectures.hyperprior import HyperpriorModel
from tfsq.architectures.local_statistics import PredictionPath
from tfsq.architectures.masked_convolution import MaskedConvolution


class ContextModel(HyperpriorModel):
    """Base class of networks that predict the latent from hyper-latent and neighbors.

    A subclass sets `taps`, the offsets of the neighbors, and implements `walk`.

    Args:
      *args: Those of `HyperpriorModel`.
      **kwargs: Those of `HyperpriorModel`.
    """

    taps: list[tuple[int, int]]

    def build_hyper_transforms(self):
        n, m = self.num_filters, self.num_latents
        self.hyper_analysis = transforms.hyper_analysis(m, (n, n, n), "leaky")
        widths = (*self.hidden_widths(m, m * 3 // 2), 2 * m)
        self.hyper_synthesis = transforms.hyper_synthesis(n, widths, "leaky")
        with transforms.predicting():
            self.context = MaskedConvolution(2 * m, self.taps, name="context")
            self.context.build((None, None, None, m))
        widths = (m * 10 // 3, m * 8 // 3, 2 * m)
        self.entropy_parameters = transforms.convolutions(
            4 * m, widths, (1, 1, 1), "leaky", "entropy_parameters"
        )
        locs, scales = ({i: first + i for i in range(m)} for first in (0, m))
        self.begin_hyper_transforms(
            PredictionPath((self.hyper_synthesis, self.entropy_parameters), locs, scales)
        )

    def predict(self, entropy_parameters, hyper, context):
        """Predicts the distribution of the latent.

        Args:
          entropy_parameters: What a coder's `predictor` made of the transform of that name.
          hyper: Tensor [batch, rows, columns, 2 * num_latents], from the hyper-latent.
          context: Tensor of the same shape, from the neighbors.

        Returns:
          (scale, loc), tensors [batch, rows, columns, num_latents].
        """
        return self.scale_and_loc(entropy_parameters(tf.concat([hyper, context], axis=-1)))
