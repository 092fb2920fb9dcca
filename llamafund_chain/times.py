"""Points in time and lengths of time, as people write and read them. Internally they are integers of seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from llamafund_chain.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_YEAR = 31_556_952
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")
_PART = re.compile(r"([0-9]+)([smhdw])")


def when(timestamp: int) -> str:
    """A point in time as text, in UTC.

    Args:
        timestamp: Unix seconds.
    """
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return f"the year {1970 + timestamp // _YEAR}"


def local_when(timestamp: int) -> str:
    """A point in time as text, in the time zone of this machine; empty where that is UTC.

    Args:
        timestamp: Unix seconds.
    """
    try:
        moment = datetime.fromtimestamp(timestamp, UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return ""
    return moment.strftime("%Y-%m-%d %H:%M %Z") if moment.utcoffset() else ""


def from_now(timestamp: int, now: int) -> str:
    """How far off a point in time is: `in 3 days`, `2 hours 5 minutes ago` or `now`.

    Args:
        timestamp: Unix seconds.
        now: Unix seconds to count from.
    """
    if timestamp == now:
        return "now"
    return f"in {duration(timestamp - now)}" if timestamp > now else f"{duration(now - timestamp)} ago"


def when_and_how_far(timestamp: int, now: int) -> str:
    """A point in time in UTC, then in local time where that differs, and how far off it is.

    Args:
        timestamp: Unix seconds.
        now: Unix seconds to count from.
    """
    beside = [text for text in (local_when(timestamp), from_now(timestamp, now)) if text]
    return f"{when(timestamp)} ({', '.join(beside)})"


def duration(seconds: int) -> str:
    """A length of time in its two largest units, for example `2 days 3 hours`."""
    parts: list[str] = []
    rest = abs(seconds)
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"


def parse_duration(text: str) -> int:
    """Seconds of a length of time such as `3d`, `36h` or `1d12h`.

    Raises:
        UsageError: It is something else.
    """
    cleaned = text.strip()
    if not _DURATION.fullmatch(cleaned):
        raise UsageError(
            f"{text[:60]!r} is not a length of time",
            "A length of time is numbers with the units s, m, h, d and w",
            "Write it like 3d, 36h or 1d12h",
        )
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(cleaned))


def parse_time(value: str | datetime | date, now: int) -> int:
    """Unix seconds of a point in time.

    Args:
        value: ISO 8601 with a time zone, or a length of time after now, such as `+30d`.
        now: Unix seconds that a relative time counts from.

    Raises:
        UsageError: It is neither, or has no time zone.
    """
    if isinstance(value, str):
        cleaned = value.strip()
        if cleaned.startswith("+") and _DURATION.fullmatch(cleaned[1:]):
            return now + parse_duration(cleaned[1:])
        try:
            moment = datetime.fromisoformat(cleaned)
        except ValueError as error:
            raise UsageError(
                f"{value[:60]!r} is not a point in time",
                "A point in time is ISO 8601 with a time zone, or counted from now",
                "Write it like 2027-01-31T12:00:00Z or +30d",
            ) from error
    elif isinstance(value, datetime):
        moment = value
    else:
        moment = datetime.combine(value, time())
    if moment.tzinfo is None:
        raise UsageError(
            f"{value} has no time zone",
            "A deadline is exact to the second and the same everywhere, so it needs a time of day and a time zone",
            f"Write it like {moment:%Y-%m-%dT%H:%M:%S}Z for UTC",
        )
    return int(moment.timestamp())
