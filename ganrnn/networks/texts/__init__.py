"""Recurrent layers, encoders, decoders, language models, discriminators of texts."""
