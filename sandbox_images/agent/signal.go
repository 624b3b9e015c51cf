package main

import (
	"syscall"

	"continueexec/agent/wire"
)

// highestSignal is SIGRTMAX.
const highestSignal = 64

// sendSignal signals a run: its own process, or every process that it started. Signal 0 only counts them.
func sendSignal(a *agent, r *request) func() {
	var params wire.Signal
	if !r.decode(&params) {
		return nil
	}
	if params.Signal < 0 || params.Signal > highestSignal {
		r.fail(invalid("There is no signal %d.", params.Signal))
		return nil
	}
	command, err := a.run(params.Stream)
	if err != nil {
		r.fail(err)
		return nil
	}
	return func() {
		<-command.started
		number := syscall.Signal(params.Signal)
		reached := 0
		switch {
		case command.group == nil || command.pid == 0: // exec failed
		case params.Tree:
			reached = command.group.Signal(number)
		case a.reaper.signal(command.pid, command, number):
			reached = 1
		}
		r.ok(wire.SignalResult{Reached: reached})
	}
}
