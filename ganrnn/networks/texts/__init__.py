"""Recurrent cells, encoders, decoders and language models."""
