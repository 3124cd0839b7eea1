package shield

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// ours begins the names of all programs of shields.
const ours = "sluice_"

// checkAlone refuses a device that has more shields than it should: two ports that
// receive by packet sockets would have each frame twice. It asks at egress, where
// every shield has a program, and has to be called in the device's namespace.
//
// To ask for a program's name takes CAP_SYS_ADMIN, beyond what a port needs. Without it, and
// without tcx, nothing can be found out, and nothing is refused.
func checkAlone(index, expected int) error {
	found, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXEgress})
	if err != nil {
		return nil // there is no tcx, or no right to ask: to attach says so better
	}
	n := 0
	for _, p := range found.Programs {
		name, err := nameOf(p.ID)
		switch {
		case errors.Is(err, unix.EPERM):
			return nil
		case errors.Is(err, os.ErrNotExist): // it has just ended
		case err != nil:
			return fmt.Errorf("ask for the name of BPF program %d: %w", p.ID, err)
		case strings.HasPrefix(name, ours):
			n++
		}
	}
	if n > expected {
		return errors.New("another Sluice, or another port of this one, has the device: end that (bpftool link names the process), or choose another device")
	}
	return nil
}

func nameOf(id ebpf.ProgramID) (string, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", err
	}
	return info.Name, nil
}
