"""The verb evaluate: samples against the reference."""
