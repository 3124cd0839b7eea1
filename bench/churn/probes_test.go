package churn_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// Probes are datagrams that say who has sent them, to whom, and as which of that
// flow. With headers and check sequence they are frames of 64 bytes, the shortest there are.
//
//	0      4      6    8          16    18
//	┌──────┬──────┬────┬──────────┬─────┐
//	│ mark │ from │ to │ sequence │  0  │
//	└──────┴──────┴────┴──────────┴─────┘
const (
	probeLen  = 18
	probePort = 7009
	probeMark = 0x736c6368
)

// flow is a stream of probes from one station to another.
type flow struct {
	from, to *station
	conn     *net.UDPConn
	sent     atomic.Uint64 // the next sequence number

	// Of what came: who receives writes, under the receiver's mu.
	seen                  map[uint64]bool
	newest                uint64
	duplicates, reordered int
}

// station is a pod that is watched: all probes that come to it are looked at, whomever
// they are for.
type station struct {
	number  uint16
	name    string
	netNS   string
	address netip.Addr
	socket  int      // a packet socket
	sink    net.Conn // takes the datagrams, so that the kernel does not refuse them

	mu     sync.Mutex
	in     map[uint16]*flow // by number of the sender
	astray []string         // probes that should not have come here, the first of them
	wrong  int              // their number
}

// field is all of it.
type field struct {
	t        *testing.T
	stations []*station
	flows    []*flow
	stop     chan struct{}
	running  sync.WaitGroup
	failed   atomic.Pointer[error]
}

func newField(t *testing.T) *field { return &field{t: t, stop: make(chan struct{})} }

// station has a pod's eth0 watched.
func (f *field) station(name, netNS string, address netip.Addr) *station {
	f.t.Helper()
	s := &station{number: uint16(len(f.stations) + 1), name: name, netNS: netNS, address: address, in: map[uint16]*flow{}}
	require.NoError(f.t, netdev.In(netNS, func() (err error) {
		var l *net.UDPConn
		if l, err = net.ListenUDP("udp4", &net.UDPAddr{Port: probePort}); err != nil {
			return err
		}
		s.sink = l
		s.socket, err = packetSocket("eth0")
		return err
	}))
	f.t.Cleanup(func() {
		require.NoError(f.t, s.sink.Close())
		require.NoError(f.t, unix.Close(s.socket))
	})
	f.stations = append(f.stations, s)
	return s
}

// packetSocket takes the probes that a device receives, with any destination.
func packetSocket(device string) (int, error) {
	const ipv4, udp, accept = unix.ETH_P_IP, unix.IPPROTO_UDP, 64
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: ipv4, Jf: 5},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 14 + 9},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: udp, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 14 + 20 + 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: probePort, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: accept},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	link, err := net.InterfaceByName(device)
	if err != nil {
		return 0, err
	}
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	return s, errors.Join(
		unix.SetsockoptSockFprog(s, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}),
		unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
		unix.Bind(s, &unix.SockaddrLinklayer{Protocol: ipv4>>8 | ipv4&0xff<<8, Ifindex: link.Index}),
	)
}

// flow has probes sent from one station to another.
func (f *field) flow(from, to *station) {
	f.t.Helper()
	fl := &flow{from: from, to: to, seen: map[uint64]bool{}}
	require.NoError(f.t, netdev.In(from.netNS, func() (err error) {
		fl.conn, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.address, probePort)))
		return err
	}))
	f.t.Cleanup(func() { require.NoError(f.t, fl.conn.Close()) })
	to.in[from.number] = fl
	f.flows = append(f.flows, fl)
}

// start sends on each flow so many probes a second until end.
func (f *field) start(rate int) {
	for _, s := range f.stations {
		f.running.Go(func() { f.note(s.watch(f.stop)) })
	}
	for _, fl := range f.flows {
		f.running.Go(func() { f.note(fl.send(rate, f.stop)) })
	}
}

func (f *field) note(err error) {
	if err != nil {
		f.failed.CompareAndSwap(nil, &err)
	}
}

// end stops sending, and waits for what is on its way.
func (f *field) end() {
	f.t.Helper()
	close(f.stop)
	f.running.Wait()
	if err := f.failed.Load(); err != nil {
		require.NoError(f.t, *err)
	}
}

func (fl *flow) send(rate int, stop <-chan struct{}) error {
	var b [probeLen]byte
	binary.BigEndian.PutUint32(b[0:], probeMark)
	binary.BigEndian.PutUint16(b[4:], fl.from.number)
	binary.BigEndian.PutUint16(b[6:], fl.to.number)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		// What could not be sent in time is left out: a burst would tell about queues.
		now := time.Now()
		n := min(int(now.Sub(last).Seconds()*float64(rate))+1, 1+rate/200)
		last = now
		for range n {
			binary.BigEndian.PutUint64(b[8:], fl.sent.Load())
			if _, err := fl.conn.Write(b[:]); err != nil {
				return fmt.Errorf("%s to %s: %w", fl.from.name, fl.to.name, err)
			}
			fl.sent.Add(1)
		}
	}
}

// watch looks at what comes, until some time after the end.
func (s *station) watch(stop <-chan struct{}) error {
	frame := make([]byte, 64)
	for quiet := 0; quiet < 6; { // 6 times 50 ms
		n, _, err := unix.Recvfrom(s.socket, frame, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			select {
			case <-stop:
				quiet++
			default:
			}
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("%s: %w", s.name, err)
		default:
			s.look(frame[:n])
		}
	}
	return nil
}

func (s *station) look(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const headers = 14 + 20 + 8
	var from, to uint16
	var sequence uint64
	whole := len(frame) >= headers+probeLen && binary.BigEndian.Uint32(frame[headers:]) == probeMark
	if whole {
		probe := frame[headers:]
		from, to, sequence = binary.BigEndian.Uint16(probe[4:]), binary.BigEndian.Uint16(probe[6:]), binary.BigEndian.Uint64(probe[8:])
	}
	fl := s.in[from]
	if to != s.number || fl == nil {
		if s.wrong++; len(s.astray) < 3 {
			s.astray = append(s.astray, fmt.Sprintf("%s: %x", s.name, frame))
		}
		return
	}
	switch {
	case fl.seen[sequence]:
		fl.duplicates++
	case sequence < fl.newest:
		fl.reordered++
	}
	fl.seen[sequence], fl.newest = true, max(fl.newest, sequence)
}

// marks are how far each flow is at a moment.
func (f *field) marks() (list []uint64) {
	for _, fl := range f.flows {
		list = append(list, fl.sent.Load())
	}
	return list
}

// tally says what became of the probes that were sent between two moments; after end.
func (f *field) tally(from, to []uint64) (sent, lost int, of []string) {
	for i, fl := range f.flows {
		missing := 0
		for n := from[i]; n < to[i]; n++ {
			if !fl.seen[n] {
				missing++
			}
		}
		sent, lost = sent+int(to[i]-from[i]), lost+missing
		if missing > 0 {
			of = append(of, fmt.Sprintf("%d from %s to %s", missing, fl.from.name, fl.to.name))
		}
	}
	return sent, lost, of
}

// astray counts the probes that came where they should not, more than once, or too late; after end.
func (f *field) astray() (misforwarded, duplicates, reordered int, examples []string) {
	for _, s := range f.stations {
		misforwarded, examples = misforwarded+s.wrong, append(examples, s.astray...)
	}
	for _, fl := range f.flows {
		duplicates, reordered = duplicates+fl.duplicates, reordered+fl.reordered
	}
	return misforwarded, duplicates, reordered, examples
}
