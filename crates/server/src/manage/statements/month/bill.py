"""Bills a scenario from the raw export alone, by other means than the server, and compares that with the server's statements.

Reads `scenario.json` (plans, what they say from when, who has which since when), `export.ndjson` (`GET /v1/usage/export`) and
`statements.json` (a list of `GET /v1/statements` items) in the folder that is its only argument. Every event is put by itself into
the statement that bills it; amounts are exact fractions. Prints what it compared, or what differs, and then fails.
"""

import json
import sys
from bisect import bisect_right
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

MINUTE = 60_000_000
OPEN = 60 * MINUTE
DIGITS = {"JPY": 0, "KWD": 3}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def micros(text):
    """Microseconds since 1970 of a moment as RFC 3339 has it."""
    day, _, clock = text.rstrip("Z").partition(".")
    whole = datetime.fromisoformat(day).replace(tzinfo=timezone.utc) - EPOCH
    return int(whole.total_seconds()) * 1_000_000 + int(clock.ljust(6, "0")[:6] or 0)


def midnight(zone, year, month, day):
    """The first moment of a day, by the clock of a zone."""
    months = year * 12 + month - 1
    year, month = divmod(months, 12)
    month += 1
    last = (datetime(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    local = datetime(year, month, min(day, last), tzinfo=zone)
    return int((local.astimezone(timezone.utc) - EPOCH).total_seconds()) * 1_000_000


def periods(price, zone, anchor, until):
    """Where periods begin, from before the anchor until after `until`."""
    local = (EPOCH + timedelta(microseconds=anchor)).astimezone(zone)
    day = 1 if price["period"] == "month" else local.day
    starts, month = [], local.month - 1
    while not starts or starts[-1] <= until:
        starts.append(midnight(zone, local.year, month, day))
        month += 1
    return starts


def rounded(amount, digits):
    """Half to even, as a number of the smallest unit."""
    return round(amount * 10**digits)


class Part:
    """What one statement is about."""

    def __init__(self, start, end, period, price):
        self.start, self.end, self.price = start, end, price
        self.share = Fraction(end - start, period[1] - period[0])
        self.on_time = 0
        self.calls = 0
        self.late = defaultdict(int)

    def cost(self, units):
        """The amounts of both lines, for so many units."""
        price, digits = self.price, DIGITS.get(self.price["currency"], 2)
        units = max(units, 0)
        included = int(price["included"] * self.share)
        fee = rounded(Fraction(price["base_fee"]) * self.share, digits)
        beyond = Fraction(max(units - included, 0), price["per_units"])
        return fee, rounded(beyond * Fraction(price["unit_price"]), digits)


def parts_of(link, plans, until):
    """All statements of a link, in order."""
    parts = []
    had = link["had"] + [{"since": until, "plan": None}]
    for now, after in zip(had, had[1:]):
        if now["plan"] is None:
            continue
        versions = plans[now["plan"]]["versions"] + [{"from": 1 << 62}]
        for version, following in zip(versions, versions[1:]):
            start = max(version["from"], now["since"]) // MINUTE * MINUTE
            end = min(following["from"], after["since"]) // MINUTE * MINUTE
            if start >= end:
                continue
            price, zone = version["price"], ZoneInfo(version["time_zone"])
            starts = periods(price, zone, now["anchor"], end)
            for first, last in zip(starts, starts[1:]):
                if first < end and last > start:
                    parts.append(Part(max(first, start), min(last, end), (first, last), price))
    return parts


def main(folder):
    scenario = json.loads((folder / "scenario.json").read_text())
    until = scenario["until"]
    # What has not ended by then may still add what came late, and is compared by whoever bills it.
    links = {link["project_id"]: parts_of(link, scenario["plans"], until + 1440 * 60 * MINUTE) for link in scenario["links"]}
    starts = {project: [part.start for part in parts] for project, parts in links.items()}
    closes = {project: [part.end + OPEN for part in parts] for project, parts in links.items()}
    seen = set()
    for line in (folder / "export.ndjson").open():
        event = json.loads(line)
        assert event["id"] not in seen, f"{event['id']} is there twice"
        seen.add(event["id"])
        at, recorded = micros(event["at"]), micros(event["recorded_at"])
        parts, begin = links[event["project_id"]], starts[event["project_id"]]
        place = bisect_right(begin, at // MINUTE * MINUTE) - 1
        if place < 0 or parts[place].end <= at:
            continue
        part = parts[place]
        if recorded < part.end + OPEN:
            part.on_time += event["units"]
            part.calls += event["calls"] if event["code"] == "allowed" else 0
        else:
            # The one that closes next adds it.
            adding = bisect_right(closes[event["project_id"]], recorded)
            if adding < len(parts):
                part.late[adding] += event["units"]

    told = defaultdict(dict)
    for statement in json.loads((folder / "statements.json").read_text()):
        told[statement["project_id"]][micros(statement["starts_at"])] = statement
    compared, adjusted, total, wrong = 0, 0, defaultdict(int), []
    for project, parts in links.items():
        ended = [part for part in parts if part.end <= until]
        assert len(told[project]) == len(ended), f"{project}: {len(told[project])} statements for {len(ended)}"
        for place, part in enumerate(ended):
            fee, overage = part.cost(part.on_time)
            lines, sum_of_it = [fee, overage], fee + overage
            for earlier in ended[:place]:
                if earlier.late.get(place):
                    before = earlier.on_time + sum(units for at, units in earlier.late.items() if at < place)
                    more = sum(earlier.cost(before + earlier.late[place])) - sum(earlier.cost(before))
                    lines.append(more)
                    adjusted += 1
                    if earlier.price["currency"] == part.price["currency"]:
                        sum_of_it += more
            digits = DIGITS.get(part.price["currency"], 2)
            theirs = told[project][part.start]
            amounts = [int(line["amount"].replace(".", "")) for line in theirs["lines"]]
            ours = (part.end, max(part.on_time, 0), part.calls, lines, sum_of_it, True)
            said = (
                micros(theirs["ends_at"]),
                theirs["units"],
                theirs["calls"],
                amounts,
                int(theirs["total"].replace(".", "")),
                theirs["closed"],
            )
            if ours != said or len(theirs["total"].partition(".")[2]) != digits:
                wrong.append(f"{project} from {theirs['starts_at']}: {said}, by the events {ours}")
            compared += 1
            total[part.price["currency"]] += sum_of_it
    print(f"{compared} statements, {adjusted} adjustments, {len(seen)} events: {dict(total)}")
    for line in wrong[:10]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
