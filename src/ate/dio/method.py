"""`method`: business logic written once and run on both sides; it decides nothing about where.

    @ate.method
    async def rename(dio: ate.Dio, request: Rename) -> str: …

    await rename(dio, Rename(…))            # here, inside a unit of work of one's own
    rename.serve(chain)                     # on the side that answers
    await rename.call(chain, Rename(…))     # from the side that asks

Whoever asks needs no code of the other side but this one function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ate.dio.dio import Dio
from ate.dio.reply import check_declared
from ate.dio.rpc import call, hint_of, parameters_of, serve
from ate.errors import UsageError

if TYPE_CHECKING:
    from ate.dio.chain import Chain

Q = TypeVar("Q")
R = TypeVar("R")
Logic = Callable[[Dio, Q], Awaitable[R]]


class Method(Generic[Q, R]):
    """A function over a Dio and a request, with what both sides must know of it.

    Args:
        function: `async def name(dio, request: Request) -> Reply`.
        raises: dataclass exceptions that may reach a caller as they are.

    Raises:
        UsageError: it has other parameters, or the request is not annotated with its class.
    """

    def __init__(self, function: Logic[Q, R], raises: tuple[type[Exception], ...] = ()) -> None:
        names = parameters_of(function)
        if len(names) != 2 or not inspect.iscoroutinefunction(function):
            raise UsageError("a method is `async def name(dio, request: Request) -> Reply`")
        request = hint_of(function, names[1])
        if not isinstance(request, type) or request is object:
            raise UsageError(f"annotate the parameter {names[1]!r} with the class of the request")
        self.function = function
        self.request: type[Q] = request
        self.reply: Any = hint_of(function, "return", request)
        self.raises = check_declared(raises)
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"Method({self.function.__name__}, {self.request.__name__})"

    def __call__(self, dio: Dio, request: Q) -> Awaitable[R]:
        """Run it here; the caller commits."""
        return self.function(dio, request)

    def serve(self, chain: Chain, **options: Any) -> None:
        """Answer requests for it; `options` are those of `serve`. Each runs in one commit."""
        register = serve(chain, self.request, reply=self.reply, raises=self.raises, **options)
        register(self.function)

    async def call(self, chain: Chain, request: Q, **options: Any) -> R:
        """Let whoever serves it run it; `options` are those of `call`."""
        found: R = await call(chain, request, reply=self.reply, raises=self.raises, **options)
        return found


@overload
def method(function: Logic[Q, R]) -> Method[Q, R]: ...
@overload
def method(
    *, raises: tuple[type[Exception], ...] = ()
) -> Callable[[Logic[Q, R]], Method[Q, R]]: ...
def method(function: Any = None, *, raises: tuple[type[Exception], ...] = ()) -> Any:
    """Make a `Method` of a function; `@method` or `@method(raises=(SomeError,))`."""
    if function is None:
        return functools.partial(Method, raises=raises)
    return Method(function, raises)
