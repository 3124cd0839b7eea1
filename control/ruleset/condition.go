package ruleset

// condition is one of a Group on a property of endpoints, or of their namespaces or segments.
type condition struct {
	subject  subject
	key      string // of a label; empty is the name
	operator operator
	values   []string
}

type subject uint8

const (
	ofPort subject = iota
	ofNamespace
	ofSegment
)

type operator uint8
