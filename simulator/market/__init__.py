"""An invented used-car market: sales of fictional makes whose prices follow rules that we chose.

In: a seed, a count, the last day. Out: a pyarrow table of observations in the words of a market file
(contracts, section 3), prices in major units. What the model should find is known, so it can be checked.
Tables: none. Process: `pledgewatch bench valuation`, the demo.
"""
