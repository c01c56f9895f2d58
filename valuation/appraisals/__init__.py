"""What a person says a vehicle is worth, where the model may not say it.

In: a flag of an inspection (the question), an appraiser's figure (the answer). Out: the value that LTV uses.
Tables: manual_appraisal. Process: none.
"""
