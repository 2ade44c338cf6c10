import asyncio, sys
import pytest
from tests.cache.test_listener import *  # noqa
@pytest.fixture(autouse=True)
async def dump():
    async def d():
        await asyncio.sleep(15)
        for t in asyncio.all_tasks():
            t.print_stack(file=sys.__stderr__)
    t=asyncio.create_task(d()); yield; t.cancel()
