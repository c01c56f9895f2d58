"""What an input can mean to the rules, as bits: a rule names those at which it must look.

Bits may promise too much, never too little: a rule that is woken for nothing answers nothing.
"""

from __future__ import annotations

from core.domain.report import Report

REPORT = 1
MARK = 1 << 1
FIX = 1 << 2
"""A position was believed."""
SUPPLY_CUT = 1 << 3
TAMPERED = 1 << 4
JAMMED = 1 << 5
TOWED = 1 << 6
SATELLITES = 1 << 7
"""The device says how many satellites it sees."""
IGNITION_OFF = 1 << 8
OUT_OF_REGION = 1 << 9
OUT_OF_YARD = 1 << 10
AT_RISK = 1 << 11
"""Parked in a risk fence."""
EVERYTHING = (1 << 12) - 1

_WORDS = {
    "power_cut": SUPPLY_CUT,
    "removal": TAMPERED,
    "shell_open": TAMPERED,
    "unplug": TAMPERED,
    "jamming": JAMMED,
    "tow": TOWED,
}


def heard(report: Report, cut_below_v: float) -> int:
    """Return the bits of a report itself, before fences and motion are looked at."""
    signals = REPORT
    volts = report.ext_power_v
    if report.ext_power_ok is False or (volts is not None and volts < cut_below_v):
        signals |= SUPPLY_CUT
    if report.sat is not None:
        signals |= SATELLITES
    if report.ignition is False:
        signals |= IGNITION_OFF
    for word in report.alarms:
        signals |= _WORDS.get(word, 0)
    return signals
