"""One run of `pledgewatch simulate`: from its options to the publisher and back."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from core.clock import Clock, ScaledClock, from_ms, monotonic, to_ms, wall_now
from core.errors import Misconfigured, Rejected
from core.settings import Settings, load_settings
from core.topics import MAX_REPORTS_PER_MESSAGE
from pledgewatch import simulation
from pledgewatch.embedded.accounts import INGEST_USER
from pledgewatch.embedded.stack import StackHandle, open_stack
from simulator.city.geojson import city_geojson
from simulator.domain import Credential
from simulator.fleet.plan import FleetPlan
from simulator.publish.acklog import AckLog
from simulator.publish.broker import BrokerAddress
from simulator.publish.pace import ClockPace, Pace, SpeedPace, Unpaced
from simulator.publish.publisher import Publisher, Tally
from simulator.replay import Part, Replay
from simulator.trackfile import write_labels, write_tracks

UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY_MS = UNITS_MS["d"]
FASTEST = float("inf")
SHOW_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `simulate`; ``speed`` None: the deployment's clock (1 where it is the wall's)."""

    vehicles: int
    speed: float | None
    scenario: str
    seed: int
    incidents: int | None
    duration_ms: int | None
    start: str | None
    labels: Path | None
    acklog: Path | None
    out: Path | None
    city: Path | None
    replay: Path | None
    shift_to_now: bool
    disorder: int | None
    double: bool
    part: str | None
    provision: bool
    credentials: Path | None
    single: bool


def parse_speed(text: str) -> float | None:
    """Read ``--speed``: empty, a positive number, or max.

    Raises:
        Rejected: something else.
    """
    if not text:
        return None
    if text == "max":
        return FASTEST
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < FASTEST:
        raise Rejected(f"Expected --speed max or a number above 0, was {text!r}", code="bad_speed")
    return speed


def parse_duration_ms(text: str) -> int:
    """Read ``90s``, ``30m``, ``24h`` or ``7d``.

    Raises:
        Rejected: another form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None or float(match[1]) == 0.0:
        raise Rejected(f"Expected --duration like 90s, 30m, 24h or 7d, was {text!r}", code="bad_duration")
    return int(float(match[1]) * UNITS_MS[match[2]])


def run_request(request: Request) -> dict[str, Any]:
    """Do what was asked; returns the figures of the run."""
    settings = load_settings()
    if request.replay is not None:
        return _replay(request, request.replay, settings)
    if request.out is not None:
        return _write(request, request.out)
    with open_stack(settings) as stack:
        clock = None
        if request.start is None and (request.provision or settings.telemetry_clock != "wall"):
            clock = simulation.deployment_clock(stack, settings)
        plan, pace = _plan(request, clock)
        _side_files(request, plan)
        if request.provision:
            credentials = simulation.provision_plan(stack, settings, plan)
        else:
            credentials = _given(request, stack, [device.device_id for device in plan.devices])
        reports, begin_ms = plan.reports, plan.start_ms
        if request.scenario == "story":
            reports, begin_ms = simulation.unsent(stack, plan)
        tally = _publish(request, stack, credentials, reports, pace, span_ms=(begin_ms, plan.end_ms))
        return {"vehicles": len(plan.vehicles), "devices": len(plan.devices), **tally.summary()}


def _plan(request: Request, clock: Clock | None) -> tuple[FleetPlan, Pace]:
    """Choose when the fleet lives: from a given start, with the deployment's clock, or up to now."""
    now_ms = to_ms(wall_now())
    if request.scenario == "story":
        if not isinstance(clock, ScaledClock):
            raise Misconfigured(
                "Scenario story: expected PLEDGEWATCH_TELEMETRY_CLOCK=scaled:START:RATE, was another clock",
                code="story_needs_scaled_clock",
            )
        meet_ms = to_ms(clock.meets_wall_at())
        return FleetPlan.story(request.seed, request.vehicles, meet_ms, now_ms), ClockPace(clock.now)
    if isinstance(clock, ScaledClock) and request.start is None:
        start_ms = to_ms(clock.now())
        left_ms = to_ms(clock.meets_wall_at()) - start_ms
        if left_ms >= UNITS_MS["h"]:
            # The deployment's time decides, whatever --speed says: reports ahead of it would be undated.
            # After the meeting a day lasts a day; a run in scaled time ends where the scaling does.
            return _scenario(request, start_ms, left_ms), ClockPace(clock.now)
        if request.speed is None:
            return _scenario(request, start_ms), ClockPace(clock.now)
    speed = request.speed or 1.0
    if request.start is not None:
        start_ms = _moment_ms(request.start)
    else:
        # Time may not run ahead of the clock (such reports are undated): the last moment is now.
        start_ms = now_ms - int(
            (request.duration_ms or DAY_MS) * (1.0 - (0.0 if speed == FASTEST else 1.0 / speed))
        )
    return _scenario(request, start_ms), Unpaced() if speed == FASTEST else SpeedPace(start_ms, speed)


def _scenario(request: Request, start_ms: int, usual_ms: int = DAY_MS) -> FleetPlan:
    duration_ms = request.duration_ms or usual_ms
    return FleetPlan.scenario(
        request.scenario, request.seed, request.vehicles, start_ms, duration_ms, request.incidents
    )


def _write(request: Request, path: Path) -> dict[str, Any]:
    if request.scenario == "story":
        plan = FleetPlan.story(request.seed, request.vehicles, to_ms(wall_now()))
    else:
        start = (
            _moment_ms(request.start)
            if request.start
            else to_ms(wall_now()) - (request.duration_ms or DAY_MS)
        )
        plan = _scenario(request, start)
    _side_files(request, plan)
    began_s = monotonic()
    rows = write_tracks(path, plan.reports())
    return {"vehicles": len(plan.vehicles), "rows": rows, "seconds": round(monotonic() - began_s, 1)}


def _replay(request: Request, path: Path, settings: Settings) -> dict[str, Any]:
    part = Part.parse(request.part) if request.part else None
    recorded = Replay(path, disorder_seed=request.disorder, double=request.double, part=part)
    speed = request.speed or 1.0
    if request.shift_to_now:
        left_ms = 0.0 if speed == FASTEST else (recorded.last_ms - recorded.first_ms) / speed
        recorded.shift_last_to(to_ms(wall_now()) + int(left_ms))
    pace: Pace = Unpaced() if speed == FASTEST else SpeedPace(recorded.first_ms, speed)
    with open_stack(settings) as stack:
        if request.provision:
            credentials = simulation.provision_devices(stack, recorded.devices)
        else:
            credentials = _given(request, stack, [device_id for _, device_id in recorded.devices])
        span = (recorded.first_ms, recorded.last_ms)
        tally = _publish(request, stack, credentials, recorded.reports, pace, span_ms=span)
    return {"rows": len(recorded), "devices": len(recorded.devices), **tally.summary()}


def _given(request: Request, stack: StackHandle, devices: list[str]) -> list[Credential]:
    """Return credentials without registering anybody."""
    if request.credentials is None:
        if _speaker(stack) is not None:
            return simulation.credentials_for_all(devices)
        raise Misconfigured(
            "--no-provision: expected --credentials FILE, or a PLEDGEWATCH_MQTT_URL with an account that may "
            "publish for every device",
            code="no_credentials",
        )
    known = {given.device_id: given for given in simulation.read_credentials(request.credentials)}
    missing = [device for device in devices if device not in known]
    if missing:
        raise Misconfigured(
            f"Credentials: expected every device of the run, {len(missing)} are missing, first {missing[0]}",
            code="no_credentials",
        )
    return [known[device] for device in devices]


def _speaker(stack: StackHandle) -> Credential | None:
    """Return the account of the broker URL when it is not ingest's, which may only listen."""
    address = BrokerAddress.parse(stack.mqtt_url)
    if address.username is None or address.username == INGEST_USER:
        return None
    return Credential(address.username, 0, address.username, address.password or "")


def _publish(
    request: Request,
    stack: StackHandle,
    credentials: list[Credential],
    reports: Callable[[], Iterator[Any]],
    pace: Pace,
    *,
    span_ms: tuple[int, int],
) -> Tally:
    if request.provision and not simulation.await_ingest(stack, load_settings()):
        Console(stderr=True).print("Nobody ingests yet: start `pledgewatch up`, or the reports are lost.")
    own_accounts = request.provision or request.credentials is not None
    speaker = None if own_accounts else _speaker(stack)
    publisher = Publisher(
        BrokerAddress.parse(stack.device_mqtt_url if speaker is None else stack.mqtt_url),
        credentials,
        AckLog(request.acklog),
        speak_for_all=speaker,
        most_per_message=1 if request.single else MAX_REPORTS_PER_MESSAGE,
        seed=request.seed,
    )
    with _stopping(publisher), _showing(span_ms) as show:
        return publisher.run(reports(), pace, on_progress=show)


@contextmanager
def _stopping(publisher: Publisher) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run with offline messages and a closed log."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        publisher.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _showing(span_ms: tuple[int, int]) -> Iterator[Callable[[Tally], None]]:
    columns = (
        TextColumn("{task.fields[moment]}"), BarColumn(), TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    shown_at = 0.0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        first_ms, last_ms = span_ms
        task = progress.add_task("", total=max(1, last_ms - first_ms), moment="connecting", figures="")

        def show(tally: Tally) -> None:
            nonlocal shown_at
            if monotonic() - shown_at < SHOW_EVERY_S:
                return
            shown_at = monotonic()
            rate = tally.acknowledged / tally.seconds if tally.seconds else 0.0
            late = timedelta(seconds=tally.behind_ms // 1000)
            behind = f", {late} behind" if late > timedelta(minutes=1) else ""
            progress.update(
                task,
                completed=max(0, tally.simulated_ms - first_ms),
                moment=from_ms(tally.simulated_ms).strftime("%Y-%m-%d %H:%M") if tally.simulated_ms else "",
                figures=f"{tally.acknowledged:,} reports, {rate:,.0f}/s"
                + (f", {behind} behind" if behind else ""),
            )

        yield show


def _side_files(request: Request, plan: FleetPlan) -> None:
    if request.labels is not None:
        write_labels(request.labels, plan.labels())
    if request.city is not None:
        request.city.write_bytes(msgspec.json.encode(city_geojson(plan.city)))


def _moment_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise Rejected(f"Expected --start in RFC 3339, was {text!r}", code="bad_start") from exc
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
