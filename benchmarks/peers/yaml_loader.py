"""Reads a YAML file with PyYAML's loader in C, and does nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml


def main() -> None:
    with Path(sys.argv[1]).open("rb") as stream:
        yaml.load(stream, Loader=yaml.CSafeLoader)


if __name__ == "__main__":
    main()
