"""The promised metric, bits per byte on the held-out part, and the other names in a manifest's metrics."""

from __future__ import annotations

METRIC = "heldout_bits_per_byte"
DIRECTION = "lower"
UNIGRAM_TOKENS = "unigram_tokens_bits_per_byte"
UNIGRAM_BYTES = "unigram_bytes_bits_per_byte"
HELDOUT_BYTES = "heldout_bytes"
HELDOUT_TOKENS = "heldout_tokens"
TRAIN_LOSS = "train_loss"
DIVERGED = "diverged"

MEASUREMENT = (
    "heldout_bits_per_byte: negative log2 likelihood of every held-out document, divided by its length in UTF-8 "
    "bytes, over all held-out documents together. Each document starts with the end-of-text token and is read in "
    "windows of the context length; computed in float64. The two unigram baselines are the best models of the "
    "same documents that ignore context: frequencies of tokens (or bytes) in the training part, smoothed by the "
    "add-k constant that suits the held-out part best."
)
