"""The board: static pages rendered from records. Never needs torch."""
