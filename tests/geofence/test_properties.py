"""What must hold for any drive: cut, repeated, shuffled, stored and read back."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import numpy as np
import shapely
from hypothesis import given, settings

from core.domain.report import Report
from geofence.domain import DeviceFacts, MarkKind, TimeMark, VehicleFacts
from geofence.engine import (
    advance,
    advance_many,
    deadlines,
    from_bytes,
    initial_state,
    input_order,
    to_bytes,
)
from geofence.fence import Fence
from geofence.index import FenceIndex
from tests.geofence.drives import START_MS, VEHICLE, at, box, circle, context

FENCES = (
    box("region", -3000, 3000, category="allowed_region"),
    circle("pawn", 500, 200, category="second_pledge"),
    box("yard", -600, -300, half_m=150, category="yard"),
    box("mine", 800, 2500, scope="vehicle"),
)
CONTEXT = context(*FENCES)
FACTS = VehicleFacts(
    vehicle_id=VEHICLE,
    collateral_form="pledge",
    region_fence_ids=("region", "mine"),
    yard_fence_ids=("yard",),
    devices=(DeviceFacts(device_id="dev-1"), DeviceFacts(device_id="dev-2", power="wireless")),
)

ALARMS = st.lists(
    st.sampled_from(["power_cut", "removal", "jamming", "tow", "vibration", "unplug"]), max_size=2
)


@st.composite
def drives(draw):
    """Return reports and marks of a wandering vehicle with two devices, in event order."""
    t_s, east, north = 0.0, 0.0, 0.0
    inputs: list[Report | TimeMark] = []
    for number in range(draw(st.integers(2, 45))):
        step = draw(st.sampled_from([0, 1, 10, 30, 60, 120, 400, 1200, 4000, 9000]))
        t_s += step
        stride = draw(st.sampled_from([0, 0, 5, 60, 300, 900, 20_000]))
        east += stride * draw(st.sampled_from([-1, 1]))
        north += stride * draw(st.sampled_from([-0.3, 0, 0.3]))
        said = {
            "seq": number,
            "device_id": draw(st.sampled_from(["dev-1", "dev-1", "dev-1", "dev-2"])),
            "speed_kmh": draw(st.sampled_from([None, 0.0, 3.0, 30.0, 90.0])),
            "ignition": draw(st.sampled_from([None, True, False, False])),
            "alarms": tuple(draw(ALARMS)),
            "ext_power_v": draw(st.sampled_from([None, 0.2, 12.6])),
            "sat": draw(st.sampled_from([None, 2, 9])),
            "rssi_dbm": draw(st.sampled_from([None, -70.0, -105.0])),
        }
        if draw(st.integers(0, 7)) == 0:
            t_s += 0.001  # of two devices that say tow in one millisecond the vehicle has one fact
            said |= {"device_ms": 1, "fix_ms": None, "type": "alarm", "fix_valid": False}
            said["received_ms"] = START_MS + round(t_s * 1000)
        inputs.append(at(t_s, draw(st.sampled_from([east, east, east, None])), north, **said))
        if draw(st.integers(0, 4)) == 0:
            inputs.append(TimeMark(
                vehicle_id=VEHICLE, device_id=draw(st.sampled_from(["dev-1", "dev-2"])), kind=MarkKind.SILENCE,
                since_ms=START_MS + round(t_s * 1000), level=(level := draw(st.integers(0, 3))),
                due_ms=START_MS + round(t_s * 1000) + 900_000 * (1 + level),  # each time-out comes later
            ))  # fmt: skip
        if draw(st.integers(0, 4)) == 0:
            inputs.append(TimeMark(
                vehicle_id=VEHICLE, kind=MarkKind.DWELL, since_ms=START_MS + round(t_s * 1000),
                due_ms=START_MS + round(t_s * 1000) + 600_000,
            ))  # fmt: skip
    return sorted(inputs, key=input_order)


def whole(inputs):
    return advance(initial_state(VEHICLE), inputs, FACTS, CONTEXT)


@settings(max_examples=60, deadline=None)
@given(drives(), st.data())
def test_cutting_the_inputs_anywhere_changes_nothing(inputs, data):
    expected = whole(inputs)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(inputs)), max_size=4)))
    state, findings = initial_state(VEHICLE), []
    for start, end in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        step = advance(from_bytes(to_bytes(state)), inputs[start:end], FACTS, CONTEXT)
        state = step.state
        findings += step.findings
    assert findings == expected.findings
    assert state == expected.state


@settings(max_examples=60, deadline=None)
@given(drives(), st.randoms(use_true_random=False))
def test_repeats_and_shuffles_sorted_again_change_nothing(inputs, random):
    doubled = [*inputs, *random.sample(inputs, len(inputs) // 2)]
    random.shuffle(doubled)
    assert whole(sorted(doubled, key=input_order)) == whole(inputs)


@settings(max_examples=60, deadline=None)
@given(drives())
def test_what_was_taken_before_is_passed_over(inputs):
    done = whole(inputs)
    again = advance(done.state, inputs, FACTS, CONTEXT)
    assert again.findings == []
    assert again.state == done.state


@settings(max_examples=50, deadline=None)
@given(drives())
def test_enters_and_exits_alternate_and_raises_and_clears_too(inputs):
    last: dict[tuple[str, ...], str] = {}
    ids = set()
    findings = whole(inputs).findings
    undated = [f for f in findings if f.evidence.get("undated")]
    for found in findings:
        # An undated alarm received in the millisecond of a dated one states the same fact: the same id.
        fact = (found.id, found in undated)
        assert fact not in ids
        ids.add(fact)
        assert found.event_ms <= found.detected_ms
        json.dumps(found.evidence)
        key = (found.rule, found.scope)
        if found.event in {"enter", "exit"} or (found.rule in {"STAY", "TRIP"}):
            assert last.get(key) != found.event
            last[key] = found.event
        if found.event == "clear" and found not in undated:
            assert last.get((*key, "open")) == "raise", found
            last[*key, "open"] = "clear"
        elif found.event == "raise" and found not in undated:
            last[*key, "open"] = "raise"


@settings(max_examples=60, deadline=None)
@given(st.lists(drives(), min_size=1, max_size=5))
def test_a_batch_of_vehicles_finds_what_each_alone_finds(rows):
    items = [(initial_state(VEHICLE), inputs, FACTS) for inputs in rows]
    assert advance_many(items, CONTEXT) == [whole(inputs) for inputs in rows]


@settings(max_examples=60, deadline=None)
@given(drives())
def test_deadlines_lie_after_what_was_heard_and_differ_by_device_and_kind(inputs):
    state = whole(inputs).state
    found = deadlines(state, FACTS, CONTEXT)
    assert len({(d.device_id, d.kind) for d in found}) == len(found)
    assert all(d.due_ms > d.since_ms or d.kind is MarkKind.DWELL for d in found)
    assert len(to_bytes(state)) < 2048


ANGLES = st.lists(st.floats(0.2, 1.0), min_size=4, max_size=40)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), ANGLES), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_membership_is_what_shapely_says_on_random_points_vertices_and_edges(stars, seed):
    fences = []
    for number, (x, y, radii) in enumerate(stars):
        turn = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
        ring = np.column_stack(
            [
                117.9 + x + 0.2 * np.array(radii) * np.cos(turn),
                30.2 + y + 0.2 * np.array(radii) * np.sin(turn),
            ]
        )
        fences.append(Fence(id=str(number), geometry=shapely.Polygon(ring)))
    index = FenceIndex.build(fences)
    rng = np.random.default_rng(seed)
    vertices = np.vstack([shapely.get_coordinates(f.geometry) for f in fences])
    middles = (vertices[:-1] + vertices[1:]) / 2
    points = np.vstack([vertices, middles, rng.uniform([117.2, 29.6], [118.6, 30.8], (200, 2))])
    for hits, (lon, lat) in zip(index.locate(points[:, 0], points[:, 1]), points, strict=True):
        ours = {fences[n].id for n, distance in hits if distance <= 0}
        assert ours == {f.id for f in fences if shapely.intersects_xy(f.geometry, lon, lat)}
