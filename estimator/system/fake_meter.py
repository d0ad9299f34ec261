"""Kepler's fake meter, the way to start it in a virtual machine: it makes up what it says."""

from __future__ import annotations

import re
from typing import Final

_FAKE: Final = re.compile(r"/energy_[^/]*$")


def is_fake(path: str) -> bool:
    """Whether that is the path of a fake meter's zone; no meter of the kernel's is called so.

    >>> is_fake("/sys/class/powercap/intel-rapl/energy_package")
    True
    >>> is_fake("/sys/class/powercap/intel-rapl:0"), is_fake("aggregated-package")
    (False, False)
    """
    return _FAKE.search(path) is not None
