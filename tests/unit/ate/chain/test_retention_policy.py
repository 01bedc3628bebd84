"""What a chain's own policy demands of a compaction."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ate.chain.retention import Retention
from ate.errors import UsageError


@pytest.mark.parametrize(
    "policy, wanted",
    [
        ({}, Retention()),
        ({"worm": True}, Retention()),
        ({"retention": {}}, Retention()),
        ({"retention": {"versions": 3}}, Retention(3)),
        ({"retention": {"days": 0}}, Retention()),
        ({"retention": {"versions": 3, "days": 0.5}}, Retention(3, timedelta(hours=12))),
    ],
)
def test_versions_and_days(policy: dict[str, object], wanted: Retention) -> None:
    assert Retention.of_policy(policy) == wanted


@pytest.mark.parametrize(
    "rule", [3, None, [], {"versions": 0}, {"versions": None}, {"days": "3"}, {"years": 1}]
)
def test_what_is_none_is_told(rule: object) -> None:
    with pytest.raises(UsageError, match="no retention policy") as raised:
        Retention.of_policy({"retention": rule})
    assert "versions" in raised.value.hint


def test_the_wider_of_both_wins() -> None:
    asked = Retention(5, timedelta(days=1), timedelta(days=9))
    policy = {"retention": {"days": 3}}
    assert asked.widened(policy) == Retention(5, timedelta(days=3), timedelta(days=9))
    policy = {"retention": {"days": 30}}
    assert asked.widened(policy) == Retention(5, timedelta(days=30), timedelta(days=30))
    policy = {"retention": {"versions": 2}}
    assert asked.widened(policy) == Retention(5, timedelta(days=1), None)
    assert Retention().widened({}) == Retention()
