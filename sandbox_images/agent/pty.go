package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"continueexec/agent/wire"
)

// winsize is struct winsize of ioctl_tty(2).
type winsize struct{ rows, cols, _, _ uint16 }

// terminal makes a pseudo-terminal of the given size for all three descriptors.
func (p *pipes) terminal(size *wire.TerminalSize) error {
	master, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("/dev/ptmx: %w", err)
	}
	p.output[0] = master
	var number, unlock int32
	if err := ioctl(master, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return err
	}
	if err := ioctl(master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock)); err != nil {
		return err
	}
	if err := setSize(master, size); err != nil {
		return err
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	slave, err := syscall.Open(name, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.child = [3]int{slave, slave, slave}
	p.close = append(p.close, slave)
	return nil
}

func setSize(fd int, size *wire.TerminalSize) error {
	return ioctl(fd, syscall.TIOCSWINSZ, unsafe.Pointer(&winsize{rows: uint16(size.Rows), cols: uint16(size.Cols)}))
}

func ioctl(fd int, command uintptr, argument unsafe.Pointer) error {
	if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), command, uintptr(argument)); failed != 0 {
		return failed
	}
	return nil
}
