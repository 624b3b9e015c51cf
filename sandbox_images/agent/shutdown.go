package main

import "continueexec/agent/wire"

// shutdown answers, kills everything and ends the agent.
func shutdown(a *agent, r *request) func() {
	r.ok(wire.Empty{})
	return func() {
		r.conn.out.drain()
		a.shutdown()
	}
}
