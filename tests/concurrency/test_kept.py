"""Answers that are kept for a moment, and forgotten after a change."""

import asyncio

import pytest

from concurrency.kept import Kept


class Source:
    """Answers with ``now``, once it is let."""

    def __init__(self) -> None:
        self.now: str | None = "first"
        self.asked = 0
        self.let = asyncio.Event()
        self.let.set()

    async def look(self) -> str | None:
        self.asked += 1
        answer = self.now
        await self.let.wait()
        return answer


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
def kept() -> Kept[str | None]:
    return Kept(keep_s=10, most=3)


async def test_many_who_ask_at_once_look_once(kept, source):
    answers = await asyncio.gather(*(kept.get("a", source.look) for _ in range(20)))

    assert (set(answers), source.asked) == ({"first"}, 1)
    assert await kept.get("a", source.look) == "first"
    assert source.asked == 1


async def test_what_is_not_there_is_looked_for_again_and_takes_no_room(kept, source):
    source.now = None
    for number in range(10):
        assert await kept.get(f"nobody {number}", source.look) is None
    assert await kept.get("nobody 1", source.look) is None

    assert source.asked == 11
    assert kept._answers == {}


async def test_no_more_than_so_many_are_kept(kept, source):
    for number in range(100):
        await kept.get(number, source.look)

    assert len(kept._answers) <= 3


async def test_after_a_change_nobody_gets_what_was_before_it(kept, source):
    source.let.clear()
    before = asyncio.create_task(kept.get("a", source.look))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    source.now = "second"
    kept.forget()
    after = asyncio.create_task(kept.get("a", source.look))
    await asyncio.sleep(0)
    source.let.set()

    assert (await before, await after) == ("first", "second")
    assert await kept.get("a", source.look) == "second"
    assert kept._looking == {}


async def test_a_failure_is_told_and_not_kept(kept, source):
    async def fail() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        await kept.get("a", fail)
    assert await kept.get("a", source.look) == "first"
