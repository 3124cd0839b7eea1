package control

import "github.com/sluice-net/sluice/control/internal/near"

// Nearest returns the candidate that a word was probably meant to be, "" if none is near.
func Nearest(word string, candidates []string) string { return near.Nearest(word, candidates) }

// Both are said so often here that they go by short names.
func nearest(word string, candidates []string) string    { return near.Nearest(word, candidates) }
func didYouMean(word string, candidates []string) string { return near.Hint(word, candidates) }
