package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"continueexec/agent/wire"
)

// failure is an error as it stands on the wire. Codes are those of continue_exec/errors.py.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func (f *failure) Error() string { return f.Message + " (" + f.Code + ")" }

func fail(code, hint, format string, args ...any) *failure {
	return &failure{code, wire.Text(fmt.Sprintf(format, args...)), hint}
}

func notFound(format string, args ...any) *failure {
	return fail(wire.CodeNotFound, "", format, args...)
}

func invalid(format string, args ...any) *failure {
	return fail(wire.CodeInvalidRequest, "", format, args...)
}

// asFailure makes a failure of any error; what it names is said in `what`.
func asFailure(err error, what string) *failure {
	var already *failure
	if errors.As(err, &already) {
		return already
	}
	code, reason := codeOf(err)
	return fail(code, hints[code], "%s: %s.", what, reason)
}

var hints = map[string]string{
	wire.CodeDiskFull: "Free disk space inside the sandbox or on the host.",
	wire.CodeRefused:  "The sandbox's own permissions forbid it.",
	wire.CodeTooLarge: "Pass less in arguments and variables; put large data into a file or on standard input.",
	wire.CodeInternal: "Please report this, with the sandbox's log.",
}

// codeOf says by which remedy an operating system's error goes, and its reason in words.
func codeOf(err error) (code, reason string) {
	var number syscall.Errno
	if !errors.As(err, &number) {
		if errors.Is(err, fs.ErrNotExist) {
			return wire.CodeNotFound, err.Error()
		}
		return wire.CodeInternal, err.Error()
	}
	reason = number.Error()
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ECONNREFUSED:
		return wire.CodeNotFound, reason
	case syscall.ENOSPC, syscall.EDQUOT:
		return wire.CodeDiskFull, reason
	case syscall.EACCES, syscall.EPERM, syscall.EROFS:
		return wire.CodeRefused, reason
	case syscall.EEXIST, syscall.EBUSY, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.ENOTEMPTY, syscall.EISDIR, syscall.ETXTBSY:
		return wire.CodeConflict, reason
	case syscall.EINVAL, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.ESRCH, syscall.ENOTTY:
		return wire.CodeInvalidRequest, reason
	case syscall.E2BIG, syscall.EFBIG:
		return wire.CodeTooLarge, reason
	}
	return wire.CodeInternal, reason
}
