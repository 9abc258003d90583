"""Long work on the event loop, in slices of time."""

import asyncio
import time
from typing import Final

_SLICE_SECONDS: Final = 0.002


class Turns:
    """Lets other tasks of the event loop run, once a slice of time is used up.

    Await `pass_on` in every loop whose length a caller chooses. It costs almost nothing before the slice is
    used up. An async generator needs it too, because it does not suspend by itself while it has values to
    yield.
    """

    def __init__(self) -> None:
        self._until = time.perf_counter() + _SLICE_SECONDS

    async def pass_on(self) -> None:
        """Suspend for one turn of the event loop if the slice is used up."""
        if time.perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + _SLICE_SECONDS
