package main

import (
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"continueexec/agent/wire"
)

// ports lists the TCP ports that something inside listens on, the agent's own excepted.
func ports(_ *agent, r *request) func() {
	return func() {
		listeners := listening("/proc/net/tcp")
		listeners = append(listeners, listening("/proc/net/tcp6")...)
		result := wire.PortList{Ports: []wire.Port{}}
		owners := socketOwners(listeners)
		for _, each := range listeners {
			owner, found := owners[each.inode]
			if found && owner.pid == os.Getpid() {
				continue
			}
			port := wire.Port{Port: int(each.address.Port()), Address: each.address.Addr().String()}
			if found {
				pid := owner.pid
				port.PID, port.Command = &pid, wire.Text(owner.command)
			}
			result.Ports = append(result.Ports, port)
		}
		slices.SortFunc(result.Ports, func(a, b wire.Port) int {
			if a.Port != b.Port {
				return a.Port - b.Port
			}
			return strings.Compare(a.Address, b.Address)
		})
		r.ok(result)
	}
}

// listener is a line of /proc/net/tcp in the state LISTEN.
type listener struct {
	address netip.AddrPort
	inode   string
}

const stateListen = "0A" // TCP_LISTEN, proc(5)

func listening(table string) []listener {
	text, err := os.ReadFile(table)
	if err != nil {
		return nil // no IPv6 here
	}
	var all []listener
	for _, line := range strings.Split(string(text), "\n") {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != stateListen {
			continue
		}
		if address, ok := parseAddress(fields[1]); ok {
			all = append(all, listener{address, fields[9]})
		}
	}
	return all
}

// parseAddress reads `0100007F:1F90`: each 32 bits of the address in the machine's order, which on both of the
// agent's architectures is little-endian.
func parseAddress(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	bytes, err := hex.DecodeString(host)
	number, wrong := strconv.ParseUint(port, 16, 16)
	if err != nil || wrong != nil || len(bytes)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for at := 0; at < len(bytes); at += 4 {
		slices.Reverse(bytes[at : at+4])
	}
	address, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), ok
}

// owner is a process that has a socket.
type owner struct {
	pid     int
	command string
}

// socketOwners finds the processes that hold the listeners' sockets, by the links in /proc/PID/fd.
func socketOwners(wanted []listener) map[string]owner {
	links := map[string]string{} // what the link says → inode
	for _, each := range wanted {
		links["socket:["+each.inode+"]"] = each.inode
	}
	owners := map[string]owner{}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return owners
	}
	for _, process := range processes {
		pid, err := strconv.Atoi(process.Name())
		if err != nil || len(owners) == len(links) {
			continue
		}
		folder := "/proc/" + process.Name()
		descriptors, err := os.ReadDir(folder + "/fd")
		if err != nil {
			continue
		}
		for _, descriptor := range descriptors {
			link, err := os.Readlink(folder + "/fd/" + descriptor.Name())
			inode, ours := links[link]
			if _, known := owners[inode]; err != nil || !ours || known {
				continue
			}
			command, _ := os.ReadFile(folder + "/cmdline")
			owners[inode] = owner{pid, strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))}
		}
	}
	return owners
}
