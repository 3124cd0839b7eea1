// Package manpage writes the manual pages of a command and its subcommands, in
// man(7), from what the commands say of themselves in their help.
//
// cobra's own generator goes by way of Markdown, which help texts are not: it joins
// the lines of tables, and takes _ and * for emphasis.
package manpage

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Options are of all pages.
type Options struct {
	Date    time.Time // in the footer
	Version string    // of the program
	Manual  string    // in the header: what the pages are part of

	Exit []Item // exit statuses
	// More are further sections of a command's page, by its path ("sluice run").
	More map[string][]Section
	// SeeAlso are the last entries of that section, on each page.
	SeeAlso []string
}

// Section is a section of items.
type Section struct {
	Title string // FILES
	Items []Item
}

// Item is a term and what it means.
type Item struct{ Term, Text string }

// section of the manual in which all pages are: user commands.
const section = "1"

// Name returns the name of a command's page, sluice-log-level; its file is NAME.1.
func Name(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// File returns the name of a command's file.
func File(cmd *cobra.Command) string { return Name(cmd) + "." + section }

// Commands returns a command and all below it that have a page, in order.
func Commands(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			list = append(list, Commands(c)...)
		}
	}
	return list
}

// Write writes the page of a command.
func Write(w io.Writer, cmd *cobra.Command, o Options) error {
	p := &page{w: bufio.NewWriter(w)}
	p.header(cmd, o)
	p.synopsis(cmd)
	p.heading("DESCRIPTION")
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	p.prose(text)
	p.commands(cmd)
	p.flags(cmd)
	for _, s := range o.More[cmd.CommandPath()] {
		p.items(s.Title, s.Items)
	}
	p.items("EXIT STATUS", o.Exit)
	if cmd.Example != "" {
		p.heading("EXAMPLES")
		p.literal(strings.Split(strings.Trim(cmd.Example, "\n"), "\n"))
	}
	p.seeAlso(cmd, o.SeeAlso)
	return p.w.Flush()
}

// page is a page that is being written; errors come with Flush.
type page struct {
	w     *bufio.Writer
	begun bool // there is text since the last heading or paragraph
}

// line writes a line of requests and escaped text.
func (p *page) line(format string, args ...any) {
	p.begun = true
	fmt.Fprintf(p.w, format+"\n", args...)
}

// paragraph begins one, unless one has just begun.
func (p *page) paragraph() {
	if p.begun {
		p.line(".PP")
		p.begun = false
	}
}

func (p *page) header(cmd *cobra.Command, o Options) {
	p.line(`.\" Written by sluice gen man from the help of the commands.`)
	p.line(`.TH %s %s %s %s %s`, quoted(strings.ToUpper(Name(cmd))), section, o.Date.UTC().Format(time.DateOnly),
		quoted(cmd.Root().Name()+" "+o.Version), quoted(o.Manual))
	p.line(`.\" Neither hyphenated nor adjusted: the text is full of names.`)
	p.line(".nh")
	p.line(".ad l")
	p.heading("NAME")
	p.line(`%s \- %s`, escape(Name(cmd)), escape(cmd.Short))
}

// synopsis is the usage; commands with subcommands and nothing else are a list of these.
func (p *page) synopsis(cmd *cobra.Command) {
	p.heading("SYNOPSIS")
	path := cmd.CommandPath()
	if cmd.Runnable() {
		_, arguments, _ := strings.Cut(cmd.Use, " ")
		if cmd.HasAvailableFlags() && !strings.Contains(arguments, "[") {
			arguments = strings.TrimSpace("[OPTION]... " + arguments)
		}
		p.line("%s", strings.TrimSpace(`\fB`+escape(path)+`\fR `+escape(arguments)))
	}
	if cmd.HasAvailableSubCommands() {
		if cmd.Runnable() {
			p.line(".br")
		}
		p.line(`\fB%s\fR \fICOMMAND\fR`, escape(path))
	}
}

func (p *page) commands(cmd *cobra.Command) {
	var items []Item
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			items = append(items, Item{c.CommandPath(), c.Short})
		}
	}
	p.items("COMMANDS", items)
}

func (p *page) flags(cmd *cobra.Command) {
	var own, inherited []*pflag.Flag
	collect := func(to *[]*pflag.Flag) func(*pflag.Flag) {
		return func(f *pflag.Flag) {
			if !f.Hidden && f.Deprecated == "" {
				*to = append(*to, f)
			}
		}
	}
	cmd.NonInheritedFlags().VisitAll(collect(&own))
	cmd.InheritedFlags().VisitAll(collect(&inherited))
	for _, group := range []struct {
		title string
		flags []*pflag.Flag
	}{{"OPTIONS", own}, {"OPTIONS OF ALL COMMANDS", inherited}} {
		if len(group.flags) > 0 {
			p.heading(group.title)
		}
		for _, f := range group.flags {
			p.flag(f)
		}
	}
}

// kinds are what the values of flags are, by pflag's names of types.
var kinds = map[string]string{
	"string": "TEXT", "strings": "TEXT", "stringArray": "TEXT", "duration": "TIME",
	"int": "NUMBER", "uint": "NUMBER", "uint16": "NUMBER", "uint64": "NUMBER", "float": "NUMBER",
}

// flag writes -o, --output=FORM, what it does, and what goes without it.
func (p *page) flag(f *pflag.Flag) {
	kind, usage := pflag.UnquoteUsage(f)
	if known := kinds[kind]; known != "" {
		kind = known
	}
	p.line(".TP")
	term := `\fB` + escape("--"+f.Name) + `\fR`
	if f.Shorthand != "" {
		term = `\fB` + escape("-"+f.Shorthand) + `\fR, ` + term
	}
	if kind != "" {
		term += `=\fI` + escape(kind) + `\fR`
	}
	p.line("%s", term)
	switch f.DefValue {
	case "", "[]", "false", "0", "0s":
	default:
		if !strings.Contains(usage, "default") {
			usage += " (default: " + strings.Trim(f.DefValue, "[]") + ")"
		}
	}
	p.text(usage)
}

func (p *page) items(title string, items []Item) {
	if len(items) == 0 {
		return
	}
	p.heading(title)
	for _, i := range items {
		p.line(".TP")
		p.line(`\fB%s\fR`, escape(i.Term))
		p.text(i.Text)
	}
}

func (p *page) seeAlso(cmd *cobra.Command, more []string) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, Name(cmd.Parent()))
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			pages = append(pages, Name(c))
		}
	}
	if len(pages)+len(more) == 0 {
		return
	}
	slices.Sort(pages)
	p.heading("SEE ALSO")
	for i, name := range pages {
		comma := ","
		if i == len(pages)-1 && len(more) == 0 {
			comma = ""
		}
		p.line(".BR %s (%s)%s", escape(name), section, comma)
	}
	p.text(strings.Join(more, ", "))
}

func (p *page) heading(title string) {
	p.line(".SH %s", escape(title))
	p.begun = false
}

// prose writes paragraphs. Lines that are indented are tables and the like, and are kept
// as they are.
func (p *page) prose(text string) {
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		p.paragraph()
		lines := strings.Split(strings.Trim(paragraph, "\n"), "\n")
		for len(lines) > 0 {
			n := 0
			for n < len(lines) && indented(lines[n]) == indented(lines[0]) {
				n++
			}
			if indented(lines[0]) {
				p.literal(lines[:n])
			} else {
				p.text(strings.Join(lines[:n], "\n"))
			}
			lines = lines[n:]
		}
	}
}

func indented(line string) bool { return strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") }

// literal writes lines as they are, without the indent that all have.
func (p *page) literal(lines []string) {
	indent := len(lines[0])
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, "\t", "    ")
		if strings.TrimSpace(l) != "" {
			indent = min(indent, len(lines[i])-len(strings.TrimLeft(lines[i], " ")))
		}
	}
	p.paragraph()
	p.line(".RS 4")
	p.line(".nf")
	for _, l := range lines {
		p.line("%s", escape(strings.TrimRight(l[min(indent, len(l)):], " ")))
	}
	p.line(".fi")
	p.line(".RE")
}

// longest is how long a line of the source should be, of text.
const longest = 72

// longWord is what may not fit into a line.
var longWord = regexp.MustCompile(`\S{40,}`)

// text writes text that is filled, at most longest characters a line, as far as words allow.
func (p *page) text(text string) {
	line := ""
	end := func() {
		if line != "" {
			// A list without spaces may be broken after its commas.
			p.line("%s", longWord.ReplaceAllStringFunc(escape(line), func(word string) string { return strings.ReplaceAll(word, ",", `,\:`) }))
		}
		line = ""
	}
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > longest {
			end()
		}
		line = strings.TrimSpace(line + " " + word)
	}
	end()
}

// escape makes text of what roff would take for requests and escapes. Minus signs are
// such that what is copied from a page can be typed; other characters are ASCII.
func escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case i == 0 && (r == '.' || r == '\''):
			b.WriteString(`\&` + string(r))
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quoted is an argument of a request.
func quoted(text string) string { return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"` }
