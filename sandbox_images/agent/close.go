package main

import "continueexec/agent/wire"

// closer is an endpoint that a host may end.
type closer interface{ end() }

// closeStream ends a watch or a port's stream. Closing what is not there succeeds. A run is ended by signal and forget.
func closeStream(_ *agent, r *request) func() {
	var params wire.StreamRef
	if !r.decode(&params) {
		return nil
	}
	switch to := r.conn.endpoint(params.Stream).(type) {
	case closer:
		r.conn.drop(params.Stream, to.(endpoint))
		to.end()
	case nil:
	default:
		r.fail(invalid("The stream %d is a run: use signal and forget.", params.Stream))
		return nil
	}
	r.ok(wire.Empty{})
	return nil
}
