"""Tools for tests of programs that use offerlog: a pytest plugin, a service in memory, a clock to set.

```python
# conftest.py
pytest_plugins = ["offerlog.testing"]
```

It gives the fixtures `offerlog_service`, `offerlog_in_memory`, `offerlog_clock` and `offerlog_store`; see
docs/testing.md.
"""

from offerlog_infrastructure.memory.service import open_in_memory
from offerlog_infrastructure.testing.clock import SettableClock
from offerlog_infrastructure.testing.plugin import (
    offerlog_clock,
    offerlog_in_memory,
    offerlog_service,
    offerlog_store,
    pytest_configure,
    pytest_configure_node,
    pytest_unconfigure,
)
from offerlog_infrastructure.testing.shared_store import SharedStore

__all__ = [
    "SettableClock",
    "SharedStore",
    "offerlog_clock",
    "offerlog_in_memory",
    "offerlog_service",
    "offerlog_store",
    "open_in_memory",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_unconfigure",
]
