package manpage

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func nothing(*cobra.Command, []string) error { return nil }

// tool is a command with something of everything.
func tool() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "Do things"}
	do := &cobra.Command{
		Use: "do [--how WAY] WHAT…", Short: "Do one -- really",
		Long:    "First paragraph,\nof two lines.\n\n.dot and 'quote' and a\\b:\n  OK   fine\n    deep\nafter it\n\n  a table\n",
		Example: "  tool do x\n  tool do -H 'y' # z",
		RunE:    nothing,
	}
	do.Flags().StringP("how", "H", "well", "in which way")
	do.Flags().StringArray("list", nil, "a,very,long,list,without,any,spaces,which,does,not,fit,into,a,line")
	do.Flags().Bool("now", false, "at once; `WHEN` is a word")
	do.Flags().String("hidden", "", "nobody's business")
	_ = do.Flags().MarkHidden("hidden")
	do.AddCommand(&cobra.Command{Use: "again", Short: "Do it again", RunE: nothing})
	root.AddCommand(do, &cobra.Command{Use: "secret", Short: "Not for users", Hidden: true, RunE: nothing})
	return root
}

func options() Options {
	return Options{
		Date: time.Date(2026, 1, 2, 23, 0, 0, 0, time.UTC), Version: "v1-2", Manual: "Tools",
		Exit:    []Item{{"0", "done"}},
		More:    map[string][]Section{"tool do": {{"FILES", []Item{{"/etc/tool", "what is to be done"}}}}},
		SeeAlso: []string{"https://tool.example"},
	}
}

const want = `.\" Written by sluice gen man from the help of the commands.
.TH "TOOL\-DO" 1 2026-01-02 "tool v1\-2" "Tools"
.\" Neither hyphenated nor adjusted: the text is full of names.
.nh
.ad l
.SH NAME
tool\-do \- Do one \-\- really
.SH SYNOPSIS
\fBtool do\fR [\-\-how WAY] WHAT\[u2026]
.br
\fBtool do\fR \fICOMMAND\fR
.SH DESCRIPTION
First paragraph, of two lines.
.PP
\&.dot and \(aqquote\(aq and a\eb:
.PP
.RS 4
.nf
OK   fine
  deep
.fi
.RE
after it
.PP
.RS 4
.nf
a table
.fi
.RE
.SH COMMANDS
.TP
\fBtool do again\fR
Do it again
.SH OPTIONS
.TP
\fB\-H\fR, \fB\-\-how\fR=\fITEXT\fR
in which way (default: well)
.TP
\fB\-\-list\fR=\fITEXT\fR
a,\:very,\:long,\:list,\:without,\:any,\:spaces,\:which,\:does,\:not,\:fit,\:into,\:a,\:line
.TP
\fB\-\-now\fR=\fIWHEN\fR
at once; WHEN is a word
.SH FILES
.TP
\fB/etc/tool\fR
what is to be done
.SH EXIT STATUS
.TP
\fB0\fR
done
.SH EXAMPLES
.RS 4
.nf
tool do x
tool do \-H \(aqy\(aq # z
.fi
.RE
.SH SEE ALSO
.BR tool (1),
.BR tool\-do\-again (1),
https://tool.example
`

func TestWrite(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	do, _, err := tool().Find([]string{"do"})
	require.NoError(t, err)
	require.NoError(t, Write(&b, do, options()))
	require.Equal(t, want, b.String())
}

func TestCommands(t *testing.T) {
	t.Parallel()
	var files []string
	for _, c := range Commands(tool()) {
		files = append(files, File(c))
	}
	require.Equal(t, []string{"tool.1", "tool-do.1", "tool-do-again.1"}, files, "hidden ones have no page")
}

// FuzzEscape: whatever help says, no line of it is a request, and nothing in it an escape
// but those that were put there.
func FuzzEscape(f *testing.F) {
	for _, seed := range []string{".SH x", "'br", `a\fBb`, "x\n.y", "…", `"`, "\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b bytes.Buffer
		c := &cobra.Command{Use: "x", Short: "y", Long: text, RunE: nothing}
		require.NoError(t, Write(&b, c, Options{}))
		_, body, _ := strings.Cut(b.String(), ".SH DESCRIPTION\n")
		for line := range strings.Lines(body) {
			switch line {
			case ".PP\n", ".RS 4\n", ".nf\n", ".fi\n", ".RE\n":
				continue
			}
			require.False(t, strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'"), "%q", line)
			rest := line
			for {
				_, after, found := strings.Cut(rest, `\`)
				if !found {
					break
				}
				require.Contains(t, "e-&([:", after[:1], "%q", line)
				rest = after
			}
		}
	})
}
