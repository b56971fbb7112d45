"""The verb rate: people judge samples on a page."""
