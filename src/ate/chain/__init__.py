"""One chain: the view of the present, the sequencer, the bounded feed, opening and verifying.

No asyncio.
"""
