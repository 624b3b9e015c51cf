package main

import "continueexec/agent/wire"

// forget ends the agent's memory of a run. If it goes on, its output is read and thrown away.
func forget(a *agent, r *request) func() {
	var params wire.StreamRef
	if !r.decode(&params) {
		return nil
	}
	command, err := a.run(params.Stream)
	if err != nil {
		r.fail(err)
		return nil
	}
	a.mu.Lock()
	delete(a.runs, params.Stream)
	a.mu.Unlock()
	command.mu.Lock()
	at := command.attachment
	command.attachment = nil
	command.forgotten = true
	command.room.Broadcast()
	command.mu.Unlock()
	if at != nil {
		at.conn.drop(params.Stream, at)
	}
	r.ok(wire.Empty{})
	return func() {
		<-command.started
		if command.group != nil {
			command.group.Close()
		}
	}
}
