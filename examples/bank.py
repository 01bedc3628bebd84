"""A bank whose books cannot be cooked: a transfer is two entries, and rules judge it."""

import asyncio

import ate
from ate.dio.ledger import Account, audit, ledger_rules, statement, transfer


async def main() -> None:
    teller = ate.Session.new("teller@bank.example")
    async with ate.open("bank", memory=True, session=teller, plugins=ledger_rules()) as chain:
        dio = chain.dio()
        vault = dio.store(Account("vault", floor=-1_000_000)).id
        alice = dio.store(Account("alice")).id
        bob = dio.store(Account("bob")).id
        await dio.commit()

        await transfer(dio, vault, alice, 100, "opening gift")
        await dio.commit()
        await transfer(dio, alice, bob, 30, "lunch")
        await dio.commit()

        # More than there is: the transfer is refused as a whole, and nothing of it happened.
        await transfer(dio, alice, bob, 1_000, "a yacht")
        try:
            await dio.commit()
        except ate.Refused as refused:
            print("refused:", refused)
        dio.cancel()

        # Without entries a balance does not move, not even for the teller.
        (await dio.load(Account, bob)).update(balance=1_000_000)
        try:
            await dio.commit()
        except ate.Refused as refused:
            print("refused:", refused)
        dio.cancel()

        for account in (alice, bob):
            holder = await dio.load(Account, account)
            print(f"{holder.value.name:6} {holder.value.balance:4}")
            for entry in await statement(dio, account):
                print(f"       {entry.value.amount:+4}  {entry.value.text}")
        assert (await dio.load(Account, alice)).value.balance == 70
        assert (await dio.load(Account, bob)).value.balance == 30
        assert not await audit(dio)


asyncio.run(main())
