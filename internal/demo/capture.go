package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/port/pcap"
)

// scene is a stretch of traffic that shows one thing.
type scene struct {
	title  string
	story  string // what to look at
	frames []frame

	// What is to come of it.
	sent  map[string]int // frames by the port they leave by
	drops []string       // reasons, one for each drop, in order
}

// frame is one that somebody sends.
type frame struct {
	after time.Duration // since the frame before, or the scene's begin
	line  string        // see internal/frametext
}

// The first scene begins at opening; the others follow a curtain apart, which
// is longer than whatever a scene leaves behind takes to end.
const curtain = 2 * time.Minute

var opening = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)

// begin is the time of a scene's begin, in nanoseconds since 1970.
func begin(scene int) int64 { return opening.Add(time.Duration(scene) * curtain).UnixNano() }

// writeCapture writes the frames of all scenes to a pcap file. The same scenes
// give the same bytes.
func writeCapture(path string, scenes []scene) (err error) {
	w, err := pcap.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for i, s := range scenes {
		t := begin(i)
		for _, f := range s.frames {
			t += int64(f.after)
			data, err := frametext.Parse(f.line)
			if err != nil {
				return fmt.Errorf("scene %q: %s: %w", s.title, f.line, err)
			}
			if err := w.Write(t, data, len(data)); err != nil {
				return err
			}
		}
	}
	return nil
}
