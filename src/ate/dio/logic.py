"""`Logic`: a rule over the values of one type, checked at every commit; it is no access rule.

It runs where commits are made and bodies can be read: it keeps a program and its users honest. Who
may write at all is said by access rules and checked by everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ate.dio.dio import Dio
from ate.dio.schema import schema_of
from ate.errors import LoadError
from ate.ids import ObjectId
from ate.trust.logic import StructuredLogic

if TYPE_CHECKING:
    from ate.dio.chain import Chain

T = TypeVar("T")


class Logic(StructuredLogic):
    """Structured logic over objects: a commit is refused when the rule gives a reason.

    Args:
        type: which objects are judged.
        rule: gets the stored value (None when the object is new) and the next one (None when it is
            deleted, or becomes another type); returns why not, or None.
        name: of the plug-in; the refusal names it.

    An instance serves one chain.
    """

    def __init__(
        self,
        type: type[T],
        rule: Callable[[T | None, T | None], str | None],
        *,
        name: str | None = None,
    ) -> None:
        schema = schema_of(type)
        super().__init__(
            schema.schema_id, schema.decode, rule, name=name or f"rule of {schema.name}"
        )
        self._type: Any = type

    def attach(self, chain: Chain) -> None:
        """Show the rule stored values from now on; called when the chain is open."""

        async def load(object_id: bytes) -> Any:
            try:
                dao = await Dio(chain, chain.session).load(self._type, ObjectId(object_id))
            except LoadError:
                return None
            return dao.value

        self.load = load
