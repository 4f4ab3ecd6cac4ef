"""tfsq: surrogates for quantization in learned image compression, for Keras and TFC."""

