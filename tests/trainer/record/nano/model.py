"""A small GPT."""

from dataclasses import dataclass

from torch import nn
from torch.nn import functional


@dataclass
class GPTConfig:
    """Sizes."""

    block_size: int
    dropout: float
    width: int = 32
    heads: int = 2


class GPT(nn.Module):
    """One block, with tied embeddings."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(256, config.width)
        self.block = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, config.dropout, batch_first=True
        )
        self.head = nn.Linear(config.width, 256, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, idx, targets):
        mask = nn.Transformer.generate_square_subsequent_mask(idx.shape[1])
        logits = self.head(self.block(self.wte(idx), src_mask=mask, is_causal=True))
        return logits, functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
