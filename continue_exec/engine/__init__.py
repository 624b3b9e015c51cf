"""Decisions. Doors call `Engine.call`; every method `noun.verb` of the table is in the module of that noun.

engine      the table of handlers, one object for the doors
workspaces  which folder is meant; its mirror and unsaved buffers
sandboxes   one persistent sandbox per workspace: made, woken, adopted, stopped, removed
first_files what is written into a new one before it boots;  opening  what is made while it boots
live        a sandbox that is up: its agent, mirror, egress
runs        start, follow, stdin, cancel
streams     from the agent's output to the run's log
snippets    code in a language becomes files and argv;  languages: the table
idle        stops what nobody uses
doctor      is this host ready?
"""
