package frametext

import (
	"fmt"
	"strconv"
)

// Error is a fault in a line.
type Error struct {
	Column int    // of the word, in bytes, from 1
	Want   string // what was expected there
	Got    string // the word; empty at the end of the line
}

func (e *Error) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("column %d: expected %s, but the line ends", e.Column, e.Want)
	}
	return fmt.Sprintf("column %d: expected %s, got %q", e.Column, e.Want, e.Got)
}

// token is a word, a brace or a string literal with its quotes.
type token struct {
	text   string
	column int
}

func lex(line string) (tokens []token, err *Error) {
	for i := 0; i < len(line); {
		start := i
		switch c := line[i]; {
		case isBlank(c):
			i++
			continue
		case c == '{' || c == '}':
			i++
		case c == '"':
			literal, bad := strconv.QuotedPrefix(line[i:])
			if bad != nil {
				return nil, &Error{start + 1, `a string that ends with "`, line[start:]}
			}
			i += len(literal)
		default:
			for i < len(line) && !isBlank(line[i]) && line[i] != '{' && line[i] != '}' && line[i] != '"' {
				i++
			}
		}
		tokens = append(tokens, token{line[start:i], start + 1})
	}
	return tokens, nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
