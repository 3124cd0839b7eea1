package bundle

import (
	"regexp"
	"strings"
)

// secretWords are parts of the names of what is secret.
const secretWords = `passw|passphrase|secret|token|credential|api[-_.]?key|private[-_.]?key|shared[-_.]?key|auth[-_.]?key|psk|` + lastApplied

var (
	secretLike = regexp.MustCompile(`(?i)` + secretWords)
	// harmless are ends of the names of what only points to a secret, or counts it.
	harmless = regexp.MustCompile(`(?i)(?:names?|refs?|file|path|namespace|seconds|count|kind|type)$`)
)

// secretName says whether what has a name is secret.
func secretName(name string) bool { return secretLike.MatchString(name) && !harmless.MatchString(name) }

// secretField is secretName for a field of an object. What is called a key is one, but
// in selectors and tolerations, where an operator is beside it.
func secretField(name string, of map[string]any) bool {
	if secretName(name) {
		return true
	}
	_, selects := of["operator"]
	return strings.HasSuffix(strings.ToLower(name), "key") && !selects
}

// look is what a secret looks like; what is matched after the first group is taken out.
type look struct {
	sign string // what a text has that matches; a cheap question before the dear one
	*regexp.Regexp
}

var looks = []look{
	// With line ends that are real or escaped; then those without their end.
	{" PRIVATE KEY-----", regexp.MustCompile(`(-----BEGIN [A-Z ]*PRIVATE KEY-----)[A-Za-z0-9+/=\s\\,:-]*?-----END [A-Z ]*PRIVATE KEY-----`)},
	{" PRIVATE KEY-----", regexp.MustCompile(`(-----BEGIN [A-Z ]*PRIVATE KEY-----)[A-Za-z0-9+/=\s\\,:-]+`)},
	{"://", regexp.MustCompile(`(://)[^\s/@:"']*:[^\s/@"']+@`)},
	{"eyJ", regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?`)}, // a JSON Web Token
	// What is said of a Secret may say what is in it.
	{"Secret ", regexp.MustCompile(`(\bSecret [A-Za-z0-9.-]+(?:/[A-Za-z0-9.-]+)?)\b[^\n]+`)},
}

// worded are looks that begin with a word, of either case.
var worded = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(\bauthorization\b[^A-Za-z0-9]+[a-z]+\s+)[^\s"',;]+`),
	regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}`),
}

// word is in what worded or named match.
var word = regexp.MustCompile(`(?i)authorization|bearer|` + secretWords)

// named matches NAME=VALUE and NAME: VALUE of secret names; quotes may be escaped.
var named = regexp.MustCompile(`(?i)([\w./-]*(?:` + secretWords + `)[\w./-]*)((?:\\?["'])?[ \t]*[:=][ \t]*)` +
	`(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}"'\\]+)`)

// hideLooks takes out what looks like a secret.
func hideLooks(text string) string {
	for _, l := range looks {
		if strings.Contains(text, l.sign) {
			text = l.ReplaceAllString(text, "${1}"+redacted)
		}
	}
	// Each of the others has one of these characters; most texts are a word or a number.
	if !strings.ContainsAny(text, " \t\r\n\f:=") || !word.MatchString(text) {
		return text
	}
	for _, w := range worded {
		text = w.ReplaceAllString(text, "${1}"+redacted)
	}
	return named.ReplaceAllStringFunc(hideNested(text), func(match string) string {
		parts := named.FindStringSubmatch(match)
		if harmless.MatchString(parts[1]) {
			return match
		}
		return parts[1] + parts[2] + redacted
	})
}

// field matches the beginning of a line of YAML, or of a diff of YAML, that has a name:
// the sign, the indent, and the name.
var field = regexp.MustCompile(`^([ +-]?)( *(?:- +)*)["']?([\w./-]+)["']?:(?:[ \t]|$)`)

// hideNested takes out the rest of lines that begin with the name of a secret, and the
// lines below that belong to them.
func hideNested(text string) string {
	var b strings.Builder
	depth := -1 // of the name, in characters; -1: outside of a secret
	for line := range strings.Lines(text) {
		body := strings.TrimRight(line, "\r\n")
		if depth >= 0 && nested(body, depth) {
			continue
		}
		depth = -1
		if m := field.FindStringSubmatch(body); m != nil && secretName(m[3]) {
			depth = len(m[1]) + len(m[2])
			line = strings.TrimRight(m[0], " \t") + " " + redacted + line[len(body):]
		}
		b.WriteString(line)
	}
	return b.String()
}

// nested says whether a line is below a name at a depth: indented deeper, or an item
// of a list. A diff's sign counts as a space.
func nested(line string, depth int) bool {
	if line != "" && strings.ContainsRune("+-", rune(line[0])) {
		line = " " + line[1:]
	}
	rest := strings.TrimLeft(line, " ")
	indent := len(line) - len(rest)
	return rest == "" || indent > depth || indent == depth && strings.HasPrefix(rest, "- ")
}
