"""Lets a torchvision built for CUDA be imported beside a CPU build of torch. `install.sh` adds it only where needed.

Such a torchvision cannot load its compiled operators (they link to CUDA's libraries) and goes on without them, but
still describes two of them to torch, which refuses what it has never heard of. So they are declared here, without an
implementation, just before torchvision is imported: its models and transforms work, `nms` and `roi_align` do not.
Nothing in LeRobot's ACT trainer calls those. Neither LeRobot nor torchvision is changed.

Loaded by a `.pth` file beside it at every start of that interpreter, so it costs nothing until torchvision is wanted.
"""

import sys
from importlib.abc import MetaPathFinder

BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class Declare(MetaPathFinder):
    """Finds no module; it notices that torchvision is about to be imported."""

    def find_spec(self, fullname, path=None, target=None):
        """Declares the operators once; always None."""
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                self.library.define(name + BOXES)


DECLARE = Declare()  # kept: what a library has declared goes with it
sys.meta_path.insert(0, DECLARE)
