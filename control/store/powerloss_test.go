package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/store/storetest"
)

// TestPowerLoss makes files as a machine leaves them that loses its power during a transaction: some of the
// pages that the transaction writes are on the disk, in any order, and some are torn in the middle,
// as if the disk had said it had written what it had not. Opened, each holds what was before the
// transaction or what was after, or is found damaged, and mended by OpenBolt to one of these two.
func TestPowerLoss(t *testing.T) {
	files := 16
	if testing.Short() {
		files = 3
	}
	l := loss{random: rand.New(rand.NewPCG(5, 6)), cut: filepath.Join(storetest.MemoryDir(t), "cut.db")}
	for range files {
		l.file(t, filepath.Join(storetest.MemoryDir(t), "state.db"))
	}
	images := l.before + l.after + l.found
	t.Logf("%d images: before %d, after %d, found damaged %d, of which mended %d", images, l.before, l.after, l.found, l.mended)
	for _, n := range []int{l.before, l.after, l.found} {
		require.Greater(t, n, images/100)
	}
	require.Greater(t, l.mended, l.found*9/10, "what was before is untouched as long as the next transaction is not complete")
}

// loss counts what becomes of files.
type loss struct {
	random *rand.Rand
	cut    string // where images are opened

	before, after, found, mended int
}

// file makes images of transactions of one file.
func (l *loss) file(t *testing.T, path string) {
	const warm, transactions, images = 40, 16, 16
	b, err := OpenBolt(path)
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // a test's
	read := func() []byte {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return data
	}
	save := func() {
		_, err := b.Save(randomChanges(l.random)...)
		require.NoError(t, err)
	}
	for range warm { // so that free pages hold what was valid once
		save()
	}
	for range transactions {
		for range l.random.IntN(4) {
			save()
		}
		was, text := read(), content(t, b)
		save()
		is := read()
		for range images {
			require.NoError(t, os.WriteFile(l.cut, l.image(was, is), 0o600))
			l.open(t, text, content(t, b))
		}
	}
}

// image is a file of which some pages were written.
func (l *loss) image(was, is []byte) []byte {
	const page = 4096
	data := bytes.Clone(was)
	if l.random.IntN(3) > 0 { // the file has grown already
		data = append(data, make([]byte, max(0, len(is)-len(was)))...)
	}
	var written []int // pages that differ
	for at := 0; at < len(data); at += page {
		if at >= len(was) || !bytes.Equal(was[at:at+page], is[at:at+page]) {
			written = append(written, at)
		}
	}
	// Few, half, most; or the first of them, in the order of the file.
	chance, prefix := l.random.Float64(), l.random.IntN(4) == 0
	for i, at := range written {
		if prefix && float64(i) > chance*float64(len(written)) || !prefix && l.random.Float64() > chance {
			continue
		}
		n := page
		if l.random.IntN(8) == 0 {
			n = 512 * l.random.IntN(8) // torn: disks write sectors
		}
		copy(data[at:at+n], is[at:at+n])
	}
	return data
}

// open opens an image of a transaction from one content to another.
func (l *loss) open(t *testing.T, before, after string) {
	b, err := open(l.cut)
	if err != nil {
		require.ErrorIs(t, err, ErrDamaged)
		l.found++
		if b, err = OpenBolt(l.cut); err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			copies, err := filepath.Glob(l.cut + ".damaged-*")
			require.NoError(t, err)
			for _, name := range copies {
				require.NoError(t, os.Remove(name))
			}
			return
		}
		l.mended++
		require.NoError(t, os.Remove(b.Recovered().Kept))
	}
	is := content(t, b)
	require.NoError(t, b.Close())
	if is != before && is != after {
		t.Fatalf("what is neither: %d bytes", len(is))
	}
	if b.Recovered() != nil {
		return
	}
	if is == after {
		l.after++
	} else {
		l.before++
	}
}

func content(t *testing.T, b *Bolt) string {
	t.Helper()
	records, revision, err := b.Load("")
	require.NoError(t, err)
	return fmt.Sprint(revision, " ", list(records))
}

// randomChanges is a transaction on some hundred records, small and large, so that pages are split,
// merged and used again.
func randomChanges(random *rand.Rand) []Change {
	changes := map[string]Change{}
	for range 1 + random.IntN(12) {
		c := set(fmt.Sprintf("%d/%d", random.IntN(3), random.IntN(60)), fmt.Sprintf("%0*d", 1+random.IntN(300), random.IntN(1000)))
		switch random.IntN(20) {
		case 0:
			c.Value = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(9000))
		case 1, 2, 3, 4:
			c.Value = nil
		}
		changes[c.Key] = c
	}
	list := make([]Change, 0, len(changes))
	for _, c := range changes {
		list = append(list, c)
	}
	return list
}
