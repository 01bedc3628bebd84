"""Ask and answer: business logic written once, run here or by who serves it; typed errors."""

import asyncio
from dataclasses import dataclass

import ate


@dataclass(frozen=True)
class Room:
    number: int
    guest: str = ""


@dataclass(frozen=True)
class Book:
    number: int
    guest: str


@dataclass
class RoomTaken(Exception):
    number: int
    guest: str


@ate.method(raises=(RoomTaken,))
async def book(dio: ate.Dio, request: Book) -> Room:
    """Give a room to a guest, once."""
    async for room in dio.all(Room):
        if room.value.number == request.number:
            if room.value.guest:
                raise RoomTaken(request.number, room.value.guest)
            return room.update(guest=request.guest).value
    raise ate.NotFound(f"this house has no room {request.number}")


async def main() -> None:
    hotel, guest = ate.Session.new("hotel"), ate.Session.new("guest")
    both = ate.Access(read=ate.Only(hotel.public, guest.public), write=ate.Everyone)
    async with ate.open("hotel", memory=True, session=hotel, access=both) as chain:
        dio = chain.dio()
        for number in (1, 2, 3):
            dio.store(Room(number))
        await dio.commit()

        # On the spot: the same function, in a unit of work of our own.
        print("at the desk:", await book(dio, Book(1, "walk-in")))
        await dio.commit()

        # From afar: the request and the reply travel through the chain, signed and sealed.
        book.serve(chain)
        print("by letter:  ", await book.call(chain, Book(2, "Ada"), session=guest))

        try:
            await book.call(chain, Book(2, "Bob"), session=guest)
        except RoomTaken as taken:
            print(f"sorry:       room {taken.number} is {taken.guest}'s")
        try:
            await book.call(chain, Book(13, "Bob"), session=guest)
        except ate.NotFound as error:
            print("sorry:      ", error)

        guests = [room.value.guest async for room in chain.dio().all(Room)]
        assert sorted(guests) == ["", "Ada", "walk-in"]
        assert len(chain) == 3, "no request and no reply is left behind"


asyncio.run(main())
