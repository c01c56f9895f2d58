"""Files of vehicles, loans, devices and contacts: read whole, judged by line, stored or refused whole.

Tables: none of its own (one advisory lock). Process: none.
"""
