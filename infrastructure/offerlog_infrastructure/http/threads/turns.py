"""Long work on the event loop, in slices."""

import asyncio
import time
from typing import Final

_SLICE_SECONDS: Final = 0.002


class Turns:
    """Lets everybody else on the event loop have a turn, once a slice of time is used up.

    Await `pass_on` inside of every loop whose length a caller chooses. It costs next to nothing where the
    slice is not used up. An async generator needs it as well: as long as it has something to give, it never
    suspends by itself.
    """

    def __init__(self) -> None:
        self._until = time.perf_counter() + _SLICE_SECONDS

    async def pass_on(self) -> None:
        """Suspend for one turn of the event loop if the slice is used up."""
        if time.perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + _SLICE_SECONDS
