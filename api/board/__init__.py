"""What the pages and lists show at a glance, joined across rooms in one query each.

In: the tables of the rooms below, read only. Out: vehicles with their loan, last position and worst
alert; positions within branches; findings and stays. Tables: none. Process: `python -m api`.
"""
