"""What survives the engine.

locks    one engine per user
state    sandboxes and runs, in SQLite
runlog   the events of one run: frames in segment files, bounded, many readers
    ballast  room for the engine's own records on a full disk
"""
