"""The peer of `embed`: sentence-transformers in its own environment, a line in, a line out.

    PYTHON embed_peer.py TOKENIZER_JSON THREADS POSITIONS

Reads JSON lists of texts from standard input, embeds each with default settings and answers with
the number of vectors. The model has the shape of all-MiniLM-L6-v2 and random weights.
"""

from __future__ import annotations

import json
import sys
import tempfile

import torch
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast


def main() -> None:
    tokenizer, threads, positions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        config = BertConfig(
            vocab_size=30522,
            hidden_size=384,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=1536,
            max_position_embeddings=512,
        )
        BertModel(config).save_pretrained(folder)
        PreTrainedTokenizerFast(
            tokenizer_file=tokenizer,
            pad_token="[PAD]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            unk_token="[UNK]",
            mask_token="[MASK]",
        ).save_pretrained(folder)
        # Of a plain model folder it makes the encoder with mean pooling.
        model = SentenceTransformer(folder, device="cpu")
    model.max_seq_length = positions
    for line in sys.stdin:
        vectors = model.encode(json.loads(line), show_progress_bar=False)
        print(len(vectors), flush=True)


if __name__ == "__main__":
    main()
