"""Times and lengths of time, as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from llamafund_chain.errors import UsageError
from llamafund_chain.times import duration, from_now, local_when, parse_duration, parse_time, when, when_and_how_far


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3d", 259_200), ("36h", 129_600), ("1d12h", 129_600), ("2w", 1_209_600), (" 90s ", 90), ("5m", 300), ("0s", 0)],
)
def test_lengths_of_time_are_read_exactly(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "d", "-3d", "3 d", "1.5d", "3D", "3d4", "9999999999d", "3y"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a length of time"):
        parse_duration(text)


def test_points_in_time_are_read_exactly() -> None:
    assert parse_time("+1d", 100) == 86_500
    assert parse_time("2027-01-15T08:00:00Z", 0) == 1_800_000_000
    assert parse_time("2027-01-15T10:00:00+02:00", 0) == 1_800_000_000
    assert parse_time(datetime(2027, 1, 15, 8, tzinfo=UTC), 0) == 1_800_000_000
    assert parse_time(datetime(2027, 1, 15, 9, tzinfo=timezone(timedelta(hours=1))), 0) == 1_800_000_000


@pytest.mark.parametrize(
    "value",
    ["tomorrow", "2027-01-15", "2027-01-15T08:00:00", "+soon", "", date(2027, 1, 15), datetime(2027, 1, 15)],  # noqa: DTZ001
)
def test_points_in_time_that_are_not_exact_are_refused(value: object) -> None:
    with pytest.raises(UsageError):
        parse_time(value, 0)


@pytest.mark.parametrize("value", ["2027-01-15", "2027-01-15 00:00", date(2027, 1, 15)])
def test_a_day_without_a_time_zone_is_written_out_as_it_could_be(value: object) -> None:
    with pytest.raises(UsageError, match="Write it like 2027-01-15T00:00:00Z for UTC"):
        parse_time(value, 0)


@pytest.mark.parametrize("value", ["+30", "+30d12", "+1.5d", "+-1d"])
def test_a_wrong_distance_from_now_is_shown_as_it_was_written(value: str) -> None:
    with pytest.raises(UsageError, match=f"'{re.escape(value)}' is not a point in time"):
        parse_time(value, 0)


def test_times_are_written_for_people() -> None:
    assert when(1_800_000_000) == "2027-01-15 08:00:00 UTC"
    assert when(2**48) == "the year 8921556"
    assert when(-(2**63)) == "the year -292277022657"
    assert duration(0) == "0 seconds"
    assert duration(1) == "1 second"
    assert duration(2 * 86_400 + 3 * 3_600 + 59) == "2 days 3 hours"
    assert duration(-61) == "1 minute 1 second"


@pytest.mark.parametrize(
    ("at", "told"), [(100, "now"), (100 + 3 * 86_400, "in 3 days"), (101, "in 1 second"), (40, "1 minute ago")]
)
def test_how_far_off_a_point_in_time_is(at: int, told: str) -> None:
    assert from_now(at, 100) == told


def test_local_time_stands_beside_utc_where_it_differs(monkeypatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    try:
        assert when_and_how_far(1_800_000_000, 1_799_999_940) == (
            "2027-01-15 08:00:00 UTC (2027-01-15 13:30 XYZ, in 1 minute)"
        )
        assert local_when(1 << 60) == ""
        monkeypatch.setenv("TZ", "UTC0")
        time.tzset()
        assert when_and_how_far(1_800_000_000, 1_799_999_940) == "2027-01-15 08:00:00 UTC (in 1 minute)"
    finally:
        monkeypatch.undo()
        time.tzset()
