"""`atedb.metrics`: numbers, and the text that Prometheus reads."""

from __future__ import annotations

import re

from ate.mesh.meter import Meter
from atedb.metrics import HallMeter, Histogram, Metrics

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"\})? [-+0-9.e]+')


def lines(metrics: Metrics, name: str) -> list[str]:
    found = metrics.text().splitlines()
    return [line for line in found if re.match(rf"{name}[ {{]", line)]


def test_every_line_is_one_that_prometheus_reads() -> None:
    metrics = Metrics()
    meter: Meter = HallMeter(metrics)
    meter.flushed(0.002)
    meter.refused("throttled")
    metrics.measure("atedb_free", "Room.", lambda: 0.25)
    text = metrics.text()
    assert text.endswith("\n")
    typed = set(re.findall(r"^# TYPE (\w+) (?:counter|gauge|histogram)$", text, re.MULTILINE))
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or LINE.fullmatch(line), line
        if not line.startswith("#"):
            name = re.split("[ {]", line)[0]
            assert name in typed or re.sub("_(bucket|sum|count)$", "", name) in typed


def test_a_histogram_counts_up_to_each_bound() -> None:
    one = Histogram("t", "T.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        one.observe(value)
    assert [line for line in one.lines() if line.startswith("t_")] == [
        't_bucket{le="0.1"} 2', 't_bucket{le="1"} 3', 't_bucket{le="+Inf"} 4', "t_sum 7.65",
        "t_count 4",
    ]  # fmt: skip


def test_two_halls_add_up() -> None:
    metrics = Metrics()
    one, two = HallMeter(metrics), HallMeter(metrics)
    one.chains(3)
    two.chains(2)
    one.chains(1)
    one.channels(2)
    two.channels(-1)
    one.appended(2, 300)
    two.appended(1, 50)
    one.sent(10, 0.001)
    one.lagged()
    one.compacted("done", 500)
    two.compacted("failed", 0)
    assert lines(metrics, "atedb_compactions_total") == [
        'atedb_compactions_total{outcome="done"} 1',
        'atedb_compactions_total{outcome="failed"} 1',
    ]
    assert lines(metrics, "atedb_reclaimed_bytes_total") == ["atedb_reclaimed_bytes_total 500"]
    assert lines(metrics, "atedb_chains_open") == ["atedb_chains_open 3"]
    assert lines(metrics, "atedb_channels_open") == ["atedb_channels_open 1"]
    assert lines(metrics, "atedb_commits_total") == ["atedb_commits_total 3"]
    assert lines(metrics, "atedb_commit_bytes_total") == ["atedb_commit_bytes_total 350"]
    assert lines(metrics, "atedb_records_sent_total") == ["atedb_records_sent_total 10"]
    assert lines(metrics, "atedb_lagged_total") == ["atedb_lagged_total 1"]


def test_a_label_takes_only_codes_that_we_know() -> None:
    metrics = Metrics()
    meter = HallMeter(metrics)
    for code in ("conflict", "conflict", 'x"\n', "made up"):
        meter.refused(code)
    assert lines(metrics, "atedb_refused_total") == [
        'atedb_refused_total{code="conflict"} 2', 'atedb_refused_total{code="other"} 2',
    ]  # fmt: skip


def test_what_cannot_be_measured_is_left_out() -> None:
    metrics = Metrics()
    metrics.measure("atedb_free", "Room.", lambda: None)
    assert "atedb_free" not in metrics.text()


def test_what_connections_count_is_shown_as_a_counter() -> None:
    metrics = Metrics()
    metrics.traffic.sent += 7
    metrics.traffic.received += 5
    assert lines(metrics, "atedb_sent_bytes_total") == ["atedb_sent_bytes_total 7"]
    assert lines(metrics, "atedb_received_bytes_total") == ["atedb_received_bytes_total 5"]
    assert "# TYPE atedb_sent_bytes_total counter" in metrics.text()
