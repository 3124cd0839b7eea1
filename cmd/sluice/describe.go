package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

func newDescribe() *cobra.Command {
	var conn connection
	var namespace string
	cmd := &cobra.Command{
		Use:   "describe KIND [NAME…] | KIND/NAME…",
		Short: "Tell all about objects: what they are, how they do, what uses them",
		Long: `Describe shows objects for people: what was written, whether it is in force, what the
node makes of it (a port's device, counters and drops; a segment's ports and
routes; a service's virtual servers and their members; a pool's addresses), what belongs together, and what changed it last. Without
names it describes all objects of a kind.

For programs there is sluice get -o json.`,
		Example: `  sluice describe port demo/web-1
  sluice describe segment/web pod/demo/web-1`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := describedSelections(args, namespace)
			if err != nil {
				return err
			}
			return conn.ask(func(c *client.Client) error {
				d := &describer{ctx: cmd.Context(), c: c, screen: newScreen(cmd.OutOrStdout()), namespace: namespace, now: time.Now()}
				for _, s := range chosen {
					if err := d.describe(s); err != nil {
						return err
					}
				}
				if d.n == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "no "+cmp.Or(chosen[0].kind.Plural, "members"))
				}
				return nil
			})
		},
		ValidArgsFunction: objectArguments(&conn, &namespace, anyNumber),
	}
	conn.addFlags(cmd)
	addNamespaceFlag(cmd, &conn, &namespace)
	return cmd
}

// describer describes objects, one below the other.
type describer struct {
	ctx       context.Context
	c         *client.Client
	screen    *screen
	namespace string
	now       time.Time

	n        int // described so far
	sections []section
}

// section is a part of a description: pairs, a table, a text, or several.
type section struct {
	title  string // empty: it stands in front
	pairs  [][]string
	header []string // of rows
	rows   [][]string
	text   string
}

// pair adds NAME: TEXT to the last section; nothing if there is no text.
func (d *describer) pair(name, text string) {
	if text != "" {
		s := &d.sections[len(d.sections)-1]
		s.pairs = append(s.pairs, []string{name + ":", text})
	}
}

func (d *describer) begin(title string) { d.sections = append(d.sections, section{title: title}) }

// table adds a section that is a table, unless it has no rows.
func (d *describer) table(title string, header []string, rows [][]string) {
	if len(rows) > 0 {
		d.sections = append(d.sections, section{title: title, header: header, rows: rows})
	}
}

// describe describes the objects that are chosen.
func (d *describer) describe(s selection) error {
	if s.kind.Kind == "" {
		return d.members(s.names)
	}
	if len(s.names) == 0 {
		f := api.ObjectFilter{Kinds: []string{s.kind.Kind}}
		if s.kind.Namespaced() {
			f.Namespace = d.namespace
		}
		return d.all(f)
	}
	for _, ref := range s.names {
		before := d.n
		err := d.all(api.ObjectFilter{Kinds: []string{ref.Kind}, Names: []string{ref.Name}, Namespace: ref.Namespace})
		if err != nil && !errors.Is(err, api.ErrNotFound) {
			return err
		}
		if d.n > before {
			continue
		}
		if err := d.made(s, ref); err != nil {
			return err
		}
	}
	return nil
}

// all describes the objects that a filter wants.
func (d *describer) all(f api.ObjectFilter) error {
	list, err := d.c.Objects(d.ctx, f)
	if err != nil {
		return err
	}
	for _, raw := range list.Items {
		o, err := readObject(raw)
		if err != nil {
			return err
		}
		if err := d.one(o, o.ref()); err != nil {
			return err
		}
	}
	return nil
}

// made describes a port or a segment that was made of another object.
func (d *describer) made(s selection, ref api.ObjectRef) error {
	full := fullName(ref.Namespace, ref.Name)
	if !hasObjects(s.kind.Plural) {
		known, err := objectNames(d.ctx, d.c, s.kind, "")
		if err != nil {
			return err
		}
		return api.NotFound(s.kind.Singular, full, known)
	}
	views, _, err := client.List[json.RawMessage](d.ctx, d.c, s.kind.Plural, api.Filter{Names: []string{full}})
	if err != nil {
		return err
	}
	for _, view := range views {
		owners, err := d.owners(s.kind.Plural, full, view)
		if err != nil {
			return err
		}
		raw, err := joinObject(s.kind, full, view, owners)
		if err != nil {
			return err
		}
		o, err := readObject(raw)
		if err != nil {
			return err
		}
		changed := api.ObjectRef{} // nobody changes what nobody wrote
		if len(owners) > 0 {
			changed = owners[0].ref()
		}
		if err := d.one(o, changed); err != nil {
			return err
		}
	}
	return nil
}

// owners are the objects that an item of a live view is made of, as far as they are there.
func (d *describer) owners(view, full string, raw json.RawMessage) (owners []*object, err error) {
	origins, err := resources()[view].originsOf(view, &item{name: full}, raw)
	if err != nil {
		return nil, err
	}
	for _, ref := range origins {
		list, err := d.c.Objects(d.ctx, api.ObjectFilter{Kinds: []string{ref.Kind}, Names: []string{ref.Name}, Namespace: ref.Namespace})
		if err != nil && !errors.Is(err, api.ErrNotFound) {
			return nil, err
		}
		if list == nil {
			continue
		}
		for _, raw := range list.Items {
			o, err := readObject(raw)
			if err != nil {
				return nil, err
			}
			if originKey(o.ref()) == originKey(ref) {
				owners = append(owners, o)
			}
		}
	}
	return owners, nil
}

// one describes an object; changed is the one whose history it has.
func (d *describer) one(o *object, changed api.ObjectRef) error {
	d.sections = nil
	d.metadata(o)
	d.conditions(o)
	if err := d.content(o); err != nil {
		return err
	}
	if err := d.live(o); err != nil {
		return err
	}
	if changed.Name != "" {
		if err := d.history(changed); err != nil {
			return err
		}
	}
	return d.print()
}

func (d *describer) metadata(o *object) {
	d.begin("")
	d.pair("Name", o.Meta.Name)
	d.pair("Namespace", o.Meta.Namespace)
	d.pair("Kind", fmt.Sprintf("%s (%s)", o.Kind, o.APIVersion))
	d.list("Labels", o.Meta.Labels)
	d.list("Annotations", o.Meta.Annotations)
	if !o.Meta.CreationTimestamp.IsZero() {
		d.pair("Created", fmt.Sprintf("%s (%s ago)", o.Meta.CreationTimestamp.UTC().Format(time.RFC3339), o.age(d.now)))
	}
	if o.Status.Revision > 0 {
		d.pair("Revision", number(o.Status.Revision))
		if o.Status.Source == "" {
			d.pair("Source", "applied over the API")
		} else {
			d.pair("Source", o.Status.Source+", a file of sluice run --config")
		}
	}
	for _, owner := range o.Meta.OwnerReferences {
		namespace := o.Meta.Namespace
		if owner.Kind == "Namespace" {
			namespace = ""
		}
		d.pair("Made of", refName(api.ObjectRef{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: namespace, Name: owner.Name}))
	}
}

// list adds a pair for each of some names and values.
func (d *describer) list(title string, values map[string]string) {
	var texts []string
	for name, value := range values {
		texts = append(texts, name+"="+value)
	}
	slices.Sort(texts)
	for i, text := range texts {
		if i == 0 {
			d.pair(title, text)
			continue
		}
		s := &d.sections[len(d.sections)-1]
		s.pairs = append(s.pairs, []string{"", text})
	}
}

func (d *describer) conditions(o *object) {
	var rows [][]string
	for _, c := range o.Status.Conditions {
		rows = append(rows, []string{string(c.Type), c.Status, c.Reason, c.Message})
	}
	d.table("Conditions", []string{"TYPE", "STATUS", "REASON", "MESSAGE"}, rows)
}

// content is what was written: the spec, or what a kind has in its place.
func (d *describer) content(o *object) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(o.raw, &fields); err != nil {
		return err
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		raw := fields[name]
		if o.Kind == "Secret" {
			raw = withoutValues(name, raw)
		}
		text, err := inForm(formYAML, raw, "")
		if err != nil {
			return err
		}
		if s := string(text); s != "{}" && s != "null" {
			d.sections = append(d.sections, section{title: strings.ToUpper(name[:1]) + name[1:], text: s + "\n"})
		}
	}
	return nil
}

// withoutValues says of the values in a field of a Secret how long they are. Other fields are as
// they were.
func withoutValues(field string, raw json.RawMessage) json.RawMessage {
	if field != "data" && field != "stringData" {
		return raw
	}
	var values map[string]*string
	if json.Unmarshal(raw, &values) != nil {
		return json.RawMessage(`"not shown"`)
	}
	lengths := map[string]string{}
	for name, value := range values {
		switch {
		case value == nil:
			lengths[name] = "not shown"
		case field == "data":
			lengths[name] = fmt.Sprintf("%d bytes", base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(*value, "="))))
		default:
			lengths[name] = fmt.Sprintf("%d bytes", len(*value))
		}
	}
	shown, err := json.Marshal(lengths)
	if err != nil {
		return json.RawMessage(`"not shown"`)
	}
	return shown
}

// history shows the last changes of an object.
func (d *describer) history(ref api.ObjectRef) error {
	const most = 5
	list, err := d.c.History(d.ctx, api.HistoryFilter{Object: ref, Limit: most})
	if err != nil {
		return err
	}
	var rows [][]string
	for i := range list {
		v := &list[i]
		what := ""
		if len(v.Changes) > 0 {
			what = string(v.Changes[0].Action)
		}
		rows = append(rows, []string{number(v.Revision), v.Time.UTC().Format(time.RFC3339), authorText(&v.Author), verbText(v), what, v.Message})
	}
	d.table("History", []string{"REVISION", "TIME", "AUTHOR", "VERB", "CHANGE", "MESSAGE"}, rows)
	return nil
}

// print prints what was gathered, below a blank line if something stands above.
func (d *describer) print() error {
	var b strings.Builder
	if d.n++; d.n > 1 {
		b.WriteString("\n\n")
	}
	for i := range d.sections {
		s := &d.sections[i]
		if s.title == "" {
			if err := d.grid(&b, nil, s.pairs, ""); err != nil {
				return err
			}
			continue
		}
		b.WriteString(d.screen.paint(bold, s.title+":") + "\n")
		if err := d.grid(&b, nil, s.pairs, "  "); err != nil {
			return err
		}
		if err := d.grid(&b, s.header, s.rows, "  "); err != nil {
			return err
		}
		for line := range strings.Lines(s.text) {
			b.WriteString("  " + line)
		}
	}
	_, err := d.screen.w.Write([]byte(b.String()))
	return err
}

// grid prints rows with an indent. Pairs have no header, and are not cut.
func (d *describer) grid(b *strings.Builder, header []string, rows [][]string, indent string) error {
	if len(rows) == 0 {
		return nil
	}
	var inner strings.Builder
	s := &screen{w: &inner, colour: d.screen.colour}
	g := grid{screen: s, header: header}
	if header == nil {
		g.header, g.noHeader = make([]string, len(rows[0])), true
		for _, row := range rows {
			if row[0] == "" {
				row[0] = " " // one more of the name above, not something that is not there
			}
		}
	} else if d.screen.width > 0 {
		s.width = max(1, d.screen.width-len(indent))
	}
	if err := g.print(rows); err != nil {
		return err
	}
	for line := range strings.Lines(inner.String()) {
		b.WriteString(indent + line)
	}
	return nil
}
