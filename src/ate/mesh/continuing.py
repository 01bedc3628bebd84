"""Whether what a server has goes on from what is here; it asks nobody and changes nothing."""

from __future__ import annotations

from ate.chain.view import View
from ate.errors import Compacted, Forked, UntrustedRoot
from ate.merkle import Frontier
from ate.mesh.tree import ViewTree, frontier_at
from ate.wire.message import Opened


def begins_anew(name: str, view: View, opened: Opened) -> bool:
    """Return whether the server sends the chain from its start, since what is between is gone.

    Raises:
        UntrustedRoot: it has another chain.
        Forked: it has fewer commits than are here, or others.
    """
    mine, commits = view.trust.chain_id, view.frontier.size
    if mine and opened.chain_id and mine != opened.chain_id:
        raise UntrustedRoot(f"the server has another chain under the name {name!r}")
    if commits > opened.commits:
        raise Forked(
            f"the server has {opened.commits} commits of {name!r}, and here are {commits}: it has "
            "lost some, or was set back to an old copy",
            hint="keep the copy that is here: it has what the server lost. Ask who runs it",
        )
    if commits and commits == opened.commits and view.frontier.root() != opened.root:
        raise Forked(f"the server has {commits} commits of {name!r}, and others than are here")
    if opened.start == 0:
        return commits > 0
    if opened.start != commits:
        raise Forked(f"the server begins with commit {opened.start}, here are {commits}")
    return False


def frontier_of(view: View, size: int) -> Frontier:
    """Return the frontier that a chain had; an empty one when it is not known any more."""
    if size == view.frontier.size:
        return view.frontier
    try:
        return frontier_at(ViewTree(view), size)
    except Compacted:
        return Frontier()
