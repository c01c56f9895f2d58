"""One vehicle on its way to a new owner: basis, appraisals, when each stage was reached.

In: the domain event of a vehicle in the yard, or a member of staff. Out: the case that lots are drafted for.
Tables: disposal_case, appraisal. Process: none.
"""
