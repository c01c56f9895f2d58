"""The rules of the sale as a pure function: (state, command, now) -> (state', events, result).

In: a `Sale`, a command, the moment. Out: the sale after it, its public events, the answer. No I/O, no clock,
no binary fractions. The SQL functions are a second implementation, tested against it; the offline verifier
replays protocols through it. Tables: none. Process: none (auction/lots, `pledgewatch auction verify`).
"""
