"""Where a sandbox lives: one contract, one module or package per driver, one suite (tests/contract/test_driver.py).

base    the Driver protocol, what it takes and gives
runsc/  gVisor on this machine, without Docker: as root, or as an ordinary user in a user namespace
fake    the agent as a plain process, without isolation: for unit tests only, cannot be chosen in settings
"""
