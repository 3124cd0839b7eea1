package store

import (
	"encoding/json"
	"fmt"

	"github.com/sluice-net/sluice/control"
)

// State is what a node remembers of its configuration, so that the next start
// makes the choices that this one made.
type State struct {
	Revision    uint64 // number of the configuration; 0: there was none yet
	Digest      string // of its Model
	Allocations control.Allocations
}

// Keys of a State's records.
const (
	statePrefix      = "state/"
	configurationKey = statePrefix + "configuration"
	allocationsKey   = statePrefix + "allocations"
)

// configuration is the record under configurationKey.
type configuration struct {
	Revision uint64 `json:"revision"`
	Digest   string `json:"digest"`
}

// LoadState returns the state that was saved last; the zero State if none was.
func LoadState(s Store) (state State, err error) {
	records, _, err := s.Load(statePrefix)
	if err != nil {
		return State{}, err
	}
	for _, r := range records {
		switch r.Key {
		case configurationKey:
			var c configuration
			err = json.Unmarshal(r.Value, &c)
			state.Revision, state.Digest = c.Revision, c.Digest
		case allocationsKey:
			err = json.Unmarshal(r.Value, &state.Allocations)
		}
		if err != nil {
			return State{}, fmt.Errorf("record %s: %w: %w", r.Key, ErrDamaged, err)
		}
	}
	return state, nil
}

// SaveState saves a state, all of it in one transaction.
func SaveState(s Store, state State) error {
	c, err := json.Marshal(configuration{state.Revision, state.Digest})
	if err != nil {
		return err
	}
	a, err := json.Marshal(state.Allocations)
	if err != nil {
		return err
	}
	_, err = s.Save(Change{configurationKey, c, Any}, Change{allocationsKey, a, Any})
	return err
}
