"""Coins that only their owner can spend: the access rule says whose, and everybody checks it."""

import asyncio
from dataclasses import dataclass

import ate


@dataclass(frozen=True)
class Coin:
    value: int
    owner: str


def owned_by(who: ate.Session) -> ate.Access:
    """Everybody may look at a coin; the owner alone may give it away."""
    return ate.Access(read=ate.Everyone, write=ate.Any(who.public))


async def give(coin: ate.Dao[Coin], to: ate.Session) -> None:
    coin.update(owner=to.identity)
    coin.access = owned_by(to)


async def main() -> None:
    mint, alice, bob = (ate.Session.new(name) for name in ("mint", "alice", "bob"))
    async with ate.open("coins", memory=True, session=mint) as chain:
        dio = chain.dio()
        coin = dio.store(Coin(5, "alice"), access=owned_by(alice)).id
        await dio.commit()

        # Bob would like to have it. He can write the change, but not the signature it needs.
        theft = chain.dio(bob)
        await give(await theft.load(Coin, coin), bob)
        try:
            await theft.commit()
        except ate.WriteDenied as denied:
            print("theft:  ", denied)

        gift = chain.dio(alice)
        await give(await gift.load(Coin, coin), bob)
        await gift.commit()
        print("gift:   ", (await chain.dio().load(Coin, coin)).value)

        # Spent is spent: even from an old handle, Alice has nothing left to give.
        again = chain.dio(alice)
        await give(await again.load(Coin, coin), alice)
        try:
            await again.commit()
        except ate.WriteDenied as denied:
            print("double: ", denied)

        now = await chain.dio().load(Coin, coin)
        assert now.value == Coin(5, "bob")
        assert now.author == "alice"
        print(f"the coin is {now.value.owner}'s, signed over by {now.author}")


asyncio.run(main())
