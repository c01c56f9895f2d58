"""What an inspector saw of a vehicle: kilometres, condition, and what no market figure can judge.

In: inspections by staff or by an import. Out: facts for estimates; a flag asks for an appraisal.
Tables: inspection. Process: none.
"""
