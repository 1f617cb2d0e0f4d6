"""A tiny open_clip model with random weights, saved as its authors lay folders out."""

import json

import torch

CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "size": [32, 32]}


def write_tiny_clip(folder):
    """Write the folder, and give it with the network."""
    from open_clip import model as theirs

    torch.manual_seed(0)
    vision, text = (CLIP[f"{tower}_cfg"] for tower in ("vision", "text"))
    network = theirs.CLIP(24, theirs.CLIPVisionCfg(**vision), theirs.CLIPTextCfg(**text))
    config = {"model_cfg": CLIP, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(network.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder, network.eval()
