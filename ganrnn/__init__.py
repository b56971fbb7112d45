"""Generative adversarial and recurrent networks in plain PyTorch: networks, objectives, sampling and metrics."""
