"""Images: one pass over blocks, merged statistics."""
