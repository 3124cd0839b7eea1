package desired

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

// victimEnv names the file that a child process changes until it is killed.
const victimEnv = "SLUICE_DESIRED_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		fmt.Println("error", victim(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// keepFew makes revisions leave the history while a test runs.
var keepFew = Retention{Revisions: 30}

// victim takes one step after the other, and says after each which revision is in force. Now and then
// it takes a change back before it makes it, and backs up.
func victim(path string) error {
	b, err := store.OpenBolt(path)
	if err != nil {
		return err
	}
	if b.Recovered() != nil {
		return errors.New(b.Recovered().String())
	}
	db, err := OpenKeeping(b, keepFew)
	if err != nil {
		return err
	}
	fmt.Println(db.Set().Revision())
	for {
		if rand.IntN(8) == 0 {
			if err := b.Backup(); err != nil {
				return err
			}
		}
		p, err := step(db)
		if err == nil && rand.IntN(8) == 0 {
			if err := p.Undo(); err != nil {
				return err
			}
			p, err = step(db)
		}
		if err != nil {
			return err
		}
		p.Done()
		fmt.Println(db.Set().Revision())
	}
}

// step prepares one to three transactions that follow from the revision alone, so that whoever knows the
// number knows all.
func step(db *DB) (*Pending, error) {
	set := db.Set()
	random := rand.New(rand.NewPCG(set.Revision(), 9))
	var txns []*Transaction
	for i := range 1 + random.IntN(3) {
		r := randomRequest(random, set)
		if i == 0 { // it changes something in any case
			r = applyRequest(fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: tick, labels: {n: '%d'}}}", set.Revision()))
		}
		r.At = time.Unix(int64(set.Revision()), 0)
		txn, err := db.Plan(set, r)
		if refused(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		set, txns = set.With(txn), append(txns, txn)
	}
	return db.Prepare(txns, fmt.Sprintf("digest-%d", set.Revision()), allocate(set, db.Allocations()))
}

// refused reports whether an error is one that a request may have.
func refused(err error) bool {
	_, faults := errors.AsType[control.Faults](err)
	return faults || errors.Is(err, api.ErrConflict) || errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrGone)
}

func applyRequest(text string) *Request {
	return &Request{Verb: api.VerbApply, Objects: decoded("-", text), Message: "as " + text[:1]}
}

// decoded is the objects of a text that is known to be good.
func decoded(file, text string) []*control.Object {
	list, faults := control.Decode(file, []byte(text), control.Options{})
	if len(faults) > 0 {
		panic(faults.Error())
	}
	return list
}

// randomRequest asks for something that mostly can be done.
func randomRequest(random *rand.Rand, s *Set) *Request {
	name := func() string { return string(rune('a' + random.IntN(12))) }
	some := func() string {
		var b strings.Builder
		for n := range 12 {
			switch who := string(rune('a' + n)); random.IntN(9) {
			case 0:
				b.WriteString(segment(who, random.IntN(4)))
			case 1:
				b.WriteString(pod("web", who, name()))
			case 2:
				fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {x: '%d'}}\n", []string{"web", "db"}[random.IntN(2)]+who, random.IntN(3))
			}
		}
		return b.String()
	}
	switch random.IntN(8) {
	case 0:
		return &Request{Verb: api.VerbRollback, Target: s.Revision() - min(s.Revision(), uint64(random.IntN(10)))}
	case 1:
		list := decoded("a.yaml", some())
		return &Request{Verb: api.VerbFiles, Objects: list}
	case 2, 3:
		r := &Request{Verb: api.VerbDelete, IgnoreMissing: random.IntN(4) > 0}
		for range 1 + random.IntN(3) {
			r.Delete = append(r.Delete, []control.Key{
				{Kind: "Segment", Name: name()},
				{Kind: "Pod", Namespace: "web", Name: name()},
				{Kind: "Namespace", Name: "web" + name()},
			}[random.IntN(3)])
		}
		return r
	}
	return applyRequest(some() + segment("z", random.IntN(4)))
}

// TestKill kills a process that changes the desired state, again and again at any moment. Each time what
// is there is, record by record, the state that the process said was in force, or the
// one that it was about to write.
func TestKill(t *testing.T) {
	kills := 2000
	if testing.Short() {
		kills = 100
	}
	path := filepath.Join(t.TempDir(), "state.db")
	m := store.NewMemory()
	ref, err := OpenKeeping(m, keepFew)
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	landed, window := 0, 8*time.Millisecond
	var said uint64 // to be in force
	for i := range kills {
		began := ref.Set().Revision()
		said = max(said, killOne(t, random, path, window))
		b, err := store.OpenBolt(path)
		require.NoError(t, err)
		require.Nil(t, b.Recovered(), "kill %d: nothing is damaged by it", i)
		db, err := OpenKeeping(b, keepFew)
		require.NoError(t, err)
		is := db.Set().Revision()
		for ref.Set().Revision() < said {
			take(t, ref)
		}
		require.Equal(t, said, ref.Set().Revision(), "kill %d: only what follows is said to be in force", i)
		if is != said {
			take(t, ref)
			landed++
		}
		// Victims get a step or two done, however slow the machine is at the moment.
		if window = window * 9 / 10; is == began {
			window *= 2
		}
		require.Equal(t, ref.Set().Revision(), is, "kill %d: it said that %d is in force", i, said)
		said = is
		compare(t, dump(t, m), dump(t, b), is)
		checkHistory(t, db)
		require.NoError(t, b.Close())
		if i%50 == 49 {
			checkCopy(t, path, ref)
		}
	}
	t.Logf("%d kills, %d revisions; %d times the change under way is there", kills, ref.Set().Revision(), landed)
	require.Greater(t, ref.Set().Revision(), uint64(kills)/4, "the victims got somewhere")
	if !testing.Short() {
		require.Positive(t, landed, "some were killed between the transaction and its announcement")
	}
	left, err := filepath.Glob(path + ".damaged*")
	require.NoError(t, err)
	require.Empty(t, left)
}

func take(t *testing.T, db *DB) {
	t.Helper()
	p, err := step(db)
	require.NoError(t, err)
	p.Done()
}

// killOne runs a victim, kills it within a time after it has begun to change, or now and then before, and
// returns the last revision that it said was in force, 0 if it said none.
func killOne(t *testing.T, random *rand.Rand, path string, within time.Duration) (last uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	after := time.Duration(random.Int64N(int64(within)))
	kill := sync.OnceFunc(func() { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) })
	if random.IntN(8) == 0 {
		kill()
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // what is cut off was not said
		}
		require.NoError(t, err)
		last, err = strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		require.NoError(t, err, line)
		kill()
	}
	require.Error(t, cmd.Wait(), "it was killed")
	return last
}

// compare compares what two stores hold. A change that was taken back may have let the oldest
// revisions go already.
func compare(t *testing.T, want, is map[string]string, revision uint64) {
	t.Helper()
	oldest := hexadecimal(revision - min(revision, MinRevisions))
	for key, value := range want {
		if parts := strings.Split(key, "/"); parts[0] == "history" && parts[2] <= oldest && is[key] == "" {
			delete(want, key)
			continue
		}
		if value != is[key] {
			require.Equal(t, value, is[key], "revision %d: %s", revision, key)
		}
	}
	for key := range is {
		if _, there := want[key]; !there {
			t.Fatalf("revision %d: there is %s", revision, key)
		}
	}
}

// checkHistory checks that the history leads to the state without a gap, and each object has the revision
// that the history says changed it last.
func checkHistory(t *testing.T, db *DB) {
	t.Helper()
	list, err := db.History(&api.HistoryFilter{})
	require.NoError(t, err)
	next := db.Set().Revision()
	for _, view := range list {
		require.Equal(t, next, view.Revision)
		next--
	}
	require.True(t, next == 0 || len(list) > MinRevisions)
	for e := range db.Set().All() {
		if h := db.now.Load().head(e.Revision); h != nil {
			require.True(t, h.touches(e.Object.Key()))
		}
	}
	zones := db.Allocations().Zones
	require.Len(t, zones, db.Set().Len(), "each object has one")
	for e := range db.Set().All() {
		require.NotZero(t, zones[e.Object.Key().String()])
	}
}

// checkCopy opens the good copy in the place of the file, which is ruined.
func checkCopy(t *testing.T, path string, ref *DB) {
	t.Helper()
	good, err := os.ReadFile(path + ".good")
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(other, []byte("ruined"), 0o600))
	require.NoError(t, os.WriteFile(other+".good", good, 0o600))
	b, err := store.OpenBolt(other)
	require.NoError(t, err)
	require.NotNil(t, b.Recovered())
	db, err := OpenKeeping(b, keepFew)
	require.NoError(t, err)
	checkHistory(t, db)
	if then, err := ref.At(db.Set().Revision()); err == nil {
		require.Equal(t, tell(then), tell(db.Set()))
	} else {
		require.ErrorIs(t, err, api.ErrGone)
	}
	require.NoError(t, b.Close())
}
