"""Contracts: test classes that the author of a plugin subclasses, one for each kind of part.

```python
from omniline import testing
from acme_depth.plugin import Depth

class TestDepth(testing.AdapterContract):
    adapter = Depth(size=16)
    raws = (small_map, large_map)
```
"""

from __future__ import annotations

from .testing_adapter import AdapterContract
from .testing_backbone import BackboneContract
from .testing_decoder import DecoderContract
from .testing_loss import LossContract

__all__ = ["AdapterContract", "BackboneContract", "DecoderContract", "LossContract"]
