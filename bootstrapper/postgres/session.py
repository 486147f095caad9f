"""The one connection of a run: opened when first used, closed while waiting, opened again."""
