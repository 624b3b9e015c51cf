"""What suites share.

homes      where the run's own state lives, apart from the user's
machine    what a run may leave behind on the machine, and its removal
users      an ordinary user, for the suites that must not be root
loopwatch  fails a test whose event loop was blocked
engines    the real engine, started once and ended for certain
"""
