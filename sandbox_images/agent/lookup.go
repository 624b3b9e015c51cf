package main

import (
	"path/filepath"
	"strings"
	"syscall"

	"continueexec/agent/wire"
)

// defaultPath is searched when the given environment has no PATH, as execvp(3) does.
const defaultPath = "/usr/local/bin:/bin:/usr/bin"

// lookup finds the program that name means in the given environment and folder.
func lookup(name, cwd string, env map[string]string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // relative to cwd: the child is there when it executes it
	}
	path, set := env["PATH"]
	if !set {
		path = defaultPath
	}
	denied := ""
	for _, folder := range strings.Split(path, ":") {
		candidate := folder + "/" + name
		if folder == "" {
			candidate = "./" + name
		}
		seen := candidate
		if !strings.HasPrefix(candidate, "/") {
			seen = filepath.Join(cwd, candidate)
		}
		var found syscall.Stat_t
		if syscall.Stat(seen, &found) != nil || found.Mode&syscall.S_IFMT != syscall.S_IFREG {
			continue
		}
		if found.Mode&0o111 != 0 {
			return candidate, nil
		}
		denied = seen
	}
	if denied != "" {
		return "", fail(wire.CodeCommandNotFound, "Make it executable: chmod +x.", "%s may not be executed.", denied)
	}
	return "", fail(wire.CodeCommandNotFound, "Install it in the sandbox, or name it by its path.",
		"The sandbox has no program %q in its PATH.", name)
}

// whyNot explains why a program could not be started.
func whyNot(err error, program, cwd string) error {
	number, _ := err.(syscall.Errno)
	var found syscall.Stat_t
	if at := syscall.Stat(cwd, &found); at != nil {
		return notFound("The folder %s cannot be entered: %v.", cwd, at)
	}
	if found.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return notFound("%s is not a folder.", cwd)
	}
	seen := program
	if !filepath.IsAbs(seen) {
		seen = filepath.Join(cwd, seen)
	}
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP:
		if syscall.Stat(seen, &found) == nil {
			return fail(wire.CodeCommandNotFound, "Install the interpreter or loader that it names.",
				"%s is there, but the program that should interpret it is not.", program)
		}
		return fail(wire.CodeCommandNotFound, "Name another program, or install it in the sandbox.",
			"The sandbox has no program %s.", program)
	case syscall.E2BIG, syscall.ENAMETOOLONG: // gVisor says the latter of one long argument
		if syscall.Stat(seen, &found) == nil {
			return fail(wire.CodeTooLarge, hints[wire.CodeTooLarge],
				"The arguments or variables of %s are longer than the kernel takes.", program)
		}
	case syscall.EACCES, syscall.EPERM, syscall.EISDIR:
		if syscall.Access(cwd, 1) != nil {
			return notFound("The folder %s may not be entered.", cwd)
		}
		return fail(wire.CodeCommandNotFound, "Make it executable: chmod +x.", "%s may not be executed.", program)
	case syscall.ENOEXEC, syscall.EINVAL:
		return fail(wire.CodeCommandNotFound, "It may be made for another machine.", "%s is no program for this machine.", program)
	case syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE:
		return fail(wire.CodeConflict, "End some processes, or raise the sandbox's limits.",
			"A limit of the sandbox is reached, %s was not started: %v.", program, number)
	}
	return asFailure(err, program)
}
