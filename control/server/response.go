package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// response gives a client time for each piece of an answer, not for the whole of
// it, which may be long; and knows whether the answer has begun.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	begun   bool
}

func newResponse(w http.ResponseWriter, stall time.Duration) *response {
	return &response{w, http.NewResponseController(w), stall, false}
}

func (w *response) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	w.begun = true
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall)) // what is no socket, in tests, has no deadline
	return w.ResponseWriter.Write(b)
}

// json answers with a value. That the client is gone nobody hears of.
func (w *response) json(status int, body any) {
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// list writes an object that ends with items, item by item: of an answer of any
// length, a buffer is in memory. head is what stands before the items, without the
// brace that closes it. It ends early if the client is gone.
func list[T any](w *response, head string, items iter.Seq[T], limit int) {
	w.Header().Set("Content-Type", mediaJSON)
	b := bufio.NewWriterSize(w, 32<<10)
	e := json.NewEncoder(b) // a line for each item
	_, _ = b.WriteString(head + `"items":[`)
	n, more := 0, false
	for item := range items {
		if limit > 0 && n == limit {
			more = true
			break
		}
		if n++; n > 1 {
			_ = b.WriteByte(',')
		}
		if e.Encode(&item) != nil {
			return
		}
	}
	_ = b.WriteByte(']')
	if more {
		_, _ = b.WriteString(`,"more":true`)
	}
	_, _ = b.WriteString("}\n")
	_ = b.Flush() // the client is gone: nobody hears of it
}

// refused is an error with a status of its own.
type refused struct {
	status int
	reason api.Reason
	text   string
}

func (e *refused) Error() string { return e.text }

func refusal(status int, reason api.Reason, format string, args ...any) error {
	return &refused{status, reason, fmt.Sprintf(format, args...)}
}

// busy says that there is no room for a request now.
func busy(format string, args ...any) error {
	return refusal(http.StatusServiceUnavailable, api.ReasonTooMany, format, args...)
}

// failureOf is the answer that an error is.
func failureOf(err error) (status int, f api.Failure) {
	f.Error = err.Error()
	if e, ok := errors.AsType[*refused](err); ok {
		f.Reason = e.reason
		return e.status, f
	}
	// What is a conflict may name the places of the documents, too.
	faults, _ := errors.AsType[control.Faults](err)
	for _, fault := range faults {
		f.Faults = append(f.Faults, api.FaultView(fault))
	}
	for _, known := range []struct {
		err    error
		status int
		reason api.Reason
	}{
		{api.ErrInvalid, http.StatusBadRequest, api.ReasonInvalid},
		{api.ErrForbidden, http.StatusForbidden, api.ReasonForbidden},
		{api.ErrNotFound, http.StatusNotFound, api.ReasonNotFound},
		{api.ErrConflict, http.StatusConflict, api.ReasonConflict},
		{api.ErrGone, http.StatusGone, api.ReasonGone},
	} {
		if errors.Is(err, known.err) {
			f.Reason = known.reason
			return known.status, f
		}
	}
	if len(faults) > 0 {
		f.Reason = api.ReasonFaults
		return http.StatusUnprocessableEntity, f
	}
	f.Reason = api.ReasonInternal
	return http.StatusInternalServerError, f
}

// fail answers with an error.
func (w *response) fail(err error) {
	status, f := failureOf(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.json(status, f)
}
