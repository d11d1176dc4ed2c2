"""Fail when torchvision is installed: its build here makes transformers' model classes fail to import."""

import importlib.util
import sys

if importlib.util.find_spec("torchvision") is not None:
    sys.exit("torchvision is installed; remove it (pip uninstall torchvision), see docs/log.md")
