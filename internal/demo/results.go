package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/port/pcap"
)

// results are what a replay wrote.
type results struct {
	model  *control.Model
	report replay.Report
	drops  []replay.Drop
	flows  []export.Flow
	sent   []sentFrame // by time, then by port
}

// sentFrame left the switch.
type sentFrame struct {
	time int64 // ns since 1970
	port string
	data []byte
}

func readResults(dir string, m *control.Model) (r *results, err error) {
	r = &results{model: m}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &r.report); err != nil {
		return nil, fmt.Errorf("report.json: %w", err)
	}
	if r.report.Digest != m.Digest {
		return nil, fmt.Errorf("%s is of another configuration", dir)
	}
	if r.drops, err = readLines[replay.Drop](filepath.Join(dir, "drops.jsonl")); err != nil {
		return nil, err
	}
	if r.flows, err = readLines[export.Flow](filepath.Join(dir, "flows.jsonl")); err != nil {
		return nil, err
	}
	for i := range m.Ports {
		if err := r.readSent(dir, m.Ports[i].Name); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(r.sent, func(a, b sentFrame) int { return int(a.time - b.time) })
	return r, nil
}

// readLines reads a file of a JSON value on each line.
func readLines[T any](path string) (all []T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var one T
		if err := d.Decode(&one); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, one)
	}
}

func (r *results) readSent(dir, port string) error {
	in, err := pcap.Open(filepath.Join(dir, replay.FileName(port)))
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	var f pcap.Frame
	for {
		if err := in.Next(&f); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r.sent = append(r.sent, sentFrame{f.Time, port, bytes.Clone(f.Data)})
	}
}

// when converts a time as logs have it.
func when(text string) int64 {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0 // before everything: the scenes will not find it, and say so
	}
	return t.UnixNano()
}
