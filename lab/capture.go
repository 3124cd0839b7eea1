package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/port/pcap"
)

// recording writes the frames that pass an interface to a file.
type recording struct {
	fd      int
	path    string
	stopped atomic.Bool
	done    chan error
}

// record begins to record; what passes from its return on is in the file.
func record(netNS, device, path string) (*recording, error) {
	r := &recording{path: path, done: make(chan error, 1)}
	err := netdev.In(netNS, func() (err error) {
		r.fd, err = openRecorder(device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capture at %s: %w", device, err)
	}
	w, err := pcap.Create(path)
	if err != nil {
		unix.Close(r.fd)
		return nil, err
	}
	go func() { r.done <- errors.Join(r.copy(w), w.Close(), unix.Close(r.fd)) }()
	return r, nil
}

// openRecorder opens a packet socket (packet(7)) that sees what the interface
// sends and receives.
func openRecorder(device string) (int, error) {
	info, err := netdev.Link("", device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // of no protocol: not yet bound to any device
	if err != nil {
		return -1, err
	}
	const everything = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
		// The kernel keeps VLAN tags beside the frame.
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: info.Index}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// copy writes frames until it is stopped and no more wait.
func (r *recording) copy(w *pcap.Writer) error {
	frame := make([]byte, 1<<17)
	control := make([]byte, 256)
	for {
		last := r.stopped.Load()
		n, nControl, _, _, err := unix.Recvmsg(r.fd, frame[4:], control, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENETDOWN):
			if last {
				return nil
			}
			continue
		case err != nil:
			return err
		}
		whole := frame[4 : 4+n]
		if tag, found := vlanTag(control[:nControl]); found && n >= 14 {
			whole = frame[:4+n]
			copy(whole, whole[4:16]) // both addresses, to before the tag
			copy(whole[12:], tag[:])
		}
		if err := w.Write(time.Now().UnixNano(), whole, len(whole)); err != nil {
			return err
		}
	}
}

// auxdataSize is that of struct tpacket_auxdata.
const auxdataSize = 20

// vlanTag returns the tag that the kernel took out of a frame.
func vlanTag(control []byte) (tag [4]byte, found bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return tag, false
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < auxdataSize {
			continue
		}
		// struct tpacket_auxdata, linux/if_packet.h: status, len, snaplen (32 bits
		// each), mac, net, vlan_tci, vlan_tpid (16 bits each).
		if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID == 0 {
			return tag, false
		}
		tpid := uint16(unix.ETH_P_8021Q)
		if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			tpid = binary.NativeEndian.Uint16(m.Data[18:])
		}
		binary.BigEndian.PutUint16(tag[:], tpid)
		binary.BigEndian.PutUint16(tag[2:], binary.NativeEndian.Uint16(m.Data[16:]))
		return tag, true
	}
	return tag, false
}

// stop ends it; what was received before is in the file.
func (r *recording) stop() error {
	r.stopped.Store(true)
	return <-r.done
}

// startCaptures begins the captures of a step.
func (l *Lab) startCaptures(captures []Capture) (recordings []*recording, err error) {
	for i := range captures {
		c := &captures[i]
		ns := l.plan.find(c.In)
		device := c.Device
		if device == "" && len(ns.interfaces) > 0 {
			device = ns.interfaces[0].name
		}
		path := filepath.Join(l.dir, "captures", fmt.Sprintf("%d-%s-%s.pcap", l.nextOutput(), fileName(c.In), device))
		r, err := record(ns.netns, device, path)
		if err != nil {
			_ = stopCaptures(recordings)
			return nil, fmt.Errorf("%s: %w", c.In, err)
		}
		recordings = append(recordings, r)
	}
	return recordings, nil
}

func (l *Lab) nextOutput() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outputs++
	return l.outputs
}

func stopCaptures(recordings []*recording) error {
	var errs []error
	for _, r := range recordings {
		errs = append(errs, r.stop())
	}
	return errors.Join(errs...)
}

// decode has tshark read a recording and returns its lines, one for each frame
// that the filter leaves.
func (c *Capture) decode(ctx context.Context, l *Lab, path string) (string, error) {
	program, err := l.lookPath("tshark")
	if err != nil {
		return "", err
	}
	args := []string{"-n", "-r", path}
	expand := func(text string) string { return l.plan.expand(text, c.In) }
	if c.Filter != "" {
		args = append(args, "-Y", expand(c.Filter))
	}
	if len(c.Fields) > 0 {
		args = append(args, "-T", "fields", "-E", "separator=/s")
		for _, f := range c.Fields {
			args = append(args, "-e", f)
		}
	}
	cmd := exec.CommandContext(ctx, program, append(args, c.Tshark...)...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = l.environment(c.In), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("tshark: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// check compares what was captured with what is expected.
func (c *Capture) check(lines string, expand func(string) string) (faults []string) {
	what := "capture in " + c.In
	if c.Filter != "" {
		what += " of " + expand(c.Filter)
	}
	if c.Frames != nil {
		if n := strings.Count(lines, "\n"); !c.Frames.Holds(strconv.Itoa(n)) {
			faults = append(faults, fmt.Sprintf("%s: want %s frames, got %d", what, c.Frames, n))
		}
	}
	if c.Text != nil {
		for _, m := range c.Text.mismatch(lines, expand) {
			faults = append(faults, what+": "+m)
		}
	}
	return faults
}
