"""The rules of web chat offers, pure: no I/O, no clock, no threads.

Time comes in with the signal; everything else is data in and data out.
"""
