package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

func newEdit() *cobra.Command {
	var (
		conn      connection
		namespace string
		e         editor
	)
	cmd := &cobra.Command{
		Use:   "edit KIND NAME | KIND/NAME",
		Short: "Change an object in an editor",
		Long: `Edit opens an object in an editor ($SLUICE_EDITOR, $VISUAL, $EDITOR, or vi) and applies
it when that ends. If something is wrong with it, it is opened again, with what is wrong
above it; if somebody else has changed the object meanwhile, with what he changed.
A text that is empty, or left as it was, changes nothing.

What was written is lost in no case: when it can't be applied, the file that has it is
named.`,
		Example: `  sluice edit segment web
  sluice edit port/demo/web-1 -o json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if e.out, err = parseOutput(e.form, formYAML, formJSON); err != nil {
				return err
			}
			e.cmd = cmd
			return conn.ask(func(c *client.Client) error {
				ref, err := oneRef(cmd.Context(), c, args, namespace)
				if err != nil {
					return err
				}
				e.c, e.ref = c, ref
				return e.run(cmd.Context())
			})
		},
		ValidArgsFunction: objectArguments(&conn, &namespace, 1),
	}
	conn.addFlags(cmd)
	addNamespaceFlag(cmd, &conn, &namespace)
	cmd.Flags().StringVarP(&e.form, "output", "o", formYAML, "yaml or json: what is edited")
	cmd.Flags().StringVarP(&e.message, "message", "m", "", "why, for the history")
	completeWords(cmd, "output", formYAML, formJSON)
	return cmd
}

// editor has a user change one object.
type editor struct {
	form    string
	message string
	out     output // of form

	cmd *cobra.Command
	c   *client.Client
	ref api.ObjectRef

	path     string // of the file that is edited
	revision string // of the object that the text was made of
	base     []byte // that object's text
}

// run edits until the object is applied, or the user gives up.
func (e *editor) run(ctx context.Context) (err error) {
	if e.base, e.revision, err = e.fetch(ctx); err != nil {
		return err
	}
	header := comment(fmt.Sprintf("%s: what you write here is applied when the editor ends.", refName(e.ref)),
		"Lines in front that begin with # are left out. An empty file changes nothing.")
	if err := e.create(); err != nil {
		return err
	}
	text := e.base
	var trouble error // why the text was not applied
	raced := false    // it is that somebody else has changed the object
	for {
		shown := append([]byte(header), text...)
		after, err := e.open(ctx, shown)
		if err != nil {
			return e.keep(err)
		}
		before := text
		text = withoutComment(after)
		switch {
		case trouble != nil && (bytes.Equal(after, shown) || !raced && bytes.Equal(text, before)):
			return e.keep(trouble)
		case len(bytes.TrimSpace(text)) == 0, trouble == nil && bytes.Equal(text, e.base):
			fmt.Fprintln(e.cmd.ErrOrStderr(), "cancelled: nothing was changed")
			return os.Remove(e.path)
		}
		if trouble = e.apply(ctx, text); trouble == nil {
			return os.Remove(e.path)
		}
		if header, text, raced, err = e.again(ctx, text, trouble); err != nil {
			return e.keep(err)
		}
	}
}

// fetch returns the object as text, without what the node adds but the revision that it is of.
func (e *editor) fetch(ctx context.Context) (text []byte, revision string, err error) {
	f := api.ObjectFilter{Kinds: []string{e.ref.Kind}, Namespace: e.ref.Namespace, Names: []string{e.ref.Name}}
	list, err := e.c.Objects(ctx, f)
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return nil, "", err
	}
	var found *object
	if err == nil {
		for _, raw := range list.Items {
			o, err := readObject(raw)
			if err != nil {
				return nil, "", err
			}
			if o.Meta.Namespace == e.ref.Namespace {
				found = o
			}
		}
	}
	if found == nil {
		return nil, "", e.absent(ctx)
	}
	fields := map[string]json.RawMessage{}
	meta := map[string]json.RawMessage{}
	if err := json.Unmarshal(found.raw, &fields); err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(fields["metadata"], &meta); err != nil {
		return nil, "", err
	}
	delete(meta, "creationTimestamp")
	if err := e.dropStatus(ctx, fields); err != nil {
		return nil, "", err
	}
	if err := setFields(fields, map[string]any{"metadata": meta}); err != nil {
		return nil, "", err
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, "", err
	}
	text, err = inForm(e.out.form, raw, "")
	return append(bytes.TrimRight(text, "\n"), '\n'), found.Meta.ResourceVersion, err
}

// dropStatus takes away what the node says of an object. A Pod's status may have been written,
// with its address: that stays.
func (e *editor) dropStatus(ctx context.Context, fields map[string]json.RawMessage) error {
	delete(fields, "status")
	if e.ref.Kind != "Pod" {
		return nil
	}
	var all bytes.Buffer
	if err := e.c.Config(ctx, formJSON, &all); err != nil {
		return err
	}
	var written struct {
		Items []struct {
			Kind     string `json:"kind"`
			Metadata struct{ Namespace, Name string }
			Status   json.RawMessage `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal(all.Bytes(), &written); err != nil {
		return err
	}
	for _, o := range written.Items {
		if o.Kind == e.ref.Kind && o.Metadata.Namespace == e.ref.Namespace && o.Metadata.Name == e.ref.Name && string(o.Status) != "{}" && len(o.Status) > 0 {
			fields["status"] = o.Status
		}
	}
	return nil
}

// absent is the error that the object is not there, with those that may have been meant.
func (e *editor) absent(ctx context.Context) error {
	k, _ := control.KindNamed(e.ref.Kind) // it was read as one
	known, err := objectNames(ctx, e.c, k, "")
	if err != nil {
		return err
	}
	return api.NotFound(k.Singular, fullName(e.ref.Namespace, e.ref.Name), known)
}

func (e *editor) create() error {
	f, err := os.CreateTemp("", "sluice-edit-*."+e.out.form) // mode 0600: it may be a Secret
	if err != nil {
		return err
	}
	e.path = f.Name()
	return f.Close()
}

// open has the user edit a text.
func (e *editor) open(ctx context.Context, text []byte) ([]byte, error) {
	if err := os.WriteFile(e.path, text, 0o600); err != nil {
		return nil, err
	}
	program := cmp.Or(os.Getenv("SLUICE_EDITOR"), os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	// By the shell, as it may have arguments, and as git does: the name of the file is not the shell's to read.
	run := exec.CommandContext(ctx, "sh", "-c", program+` "$@"`, program, e.path)
	run.Stdin, run.Stdout, run.Stderr = e.cmd.InOrStdin(), e.cmd.OutOrStdout(), e.cmd.ErrOrStderr()
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("the editor %s: %w; choose one by SLUICE_EDITOR", program, err)
	}
	return os.ReadFile(e.path)
}

// keep is an error that names the file with what was written.
func (e *editor) keep(err error) error {
	fmt.Fprintf(e.cmd.ErrOrStderr(), "what you wrote is in %s\n", e.path)
	return err
}

// apply applies a text, if the object is still what it was.
func (e *editor) apply(ctx context.Context, text []byte) error {
	if err := e.same(text); err != nil {
		return err
	}
	result, err := e.c.Apply(ctx, []control.File{{Name: e.path, Data: text}}, client.ChangeOptions{IfUnchanged: true, Message: e.message})
	if err != nil {
		return err
	}
	flags := changeFlags{}
	return flags.print(result, newScreen(e.cmd.OutOrStdout()), e.cmd.ErrOrStderr())
}

// same refuses a text of another object, which would be made beside the one that is edited.
// What can't be read is for the daemon to say.
func (e *editor) same(text []byte) error {
	var o object
	if yaml.Unmarshal(text, &o) != nil {
		return nil
	}
	is := api.ObjectRef{Kind: o.Kind, Namespace: o.Meta.Namespace, Name: o.Meta.Name}
	if is.Kind == e.ref.Kind && is.Name == e.ref.Name && is.Namespace == e.ref.Namespace {
		return nil
	}
	return control.Faults{{
		File: e.path, Object: strings.TrimSpace(is.Kind + " " + fullName(is.Namespace, is.Name)),
		Message: "is another object than " + refName(e.ref), Hint: "kind, namespace and name can't be edited: delete the one and apply the other",
	}}.Err()
}

// versionField is where a text says which revision it was made of.
var versionField = regexp.MustCompile(`(resourceVersion["']?\s*:\s*["']?)\d+`)

// again says what is wrong with a text, in front of what is edited next; raced, that somebody else
// has changed the object.
func (e *editor) again(ctx context.Context, text []byte, trouble error) (header string, next []byte, raced bool, err error) {
	now, revision, err := e.fetch(ctx)
	if err != nil {
		return "", nil, false, errors.Join(trouble, err)
	}
	if revision != e.revision {
		newer := func(text []byte) []byte { return versionField.ReplaceAll(text, []byte("${1}"+revision)) }
		diff := udiff.Unified("before", "after", string(newer(e.base)), string(now))
		header = comment("The object was changed meanwhile. What was changed:", "", diff,
			"Take over below what is to stay. It is applied if you change anything in this file, if only this line.")
		e.base, e.revision = now, revision
		return header, newer(text), true, nil
	}
	faults, hasFaults := errors.AsType[control.Faults](trouble)
	if !hasFaults || errors.Is(trouble, api.ErrConflict) {
		return "", nil, false, trouble
	}
	return e.faultComment(faults), text, false, nil
}

// faultComment lists faults, with the lines that they have in the file that is opened next.
func (e *editor) faultComment(faults control.Faults) string {
	const title = "This is wrong, and nothing was changed:"
	above := strings.Count(comment(title, faults.Error()), "\n")
	moved := make(control.Faults, len(faults))
	for i, f := range faults {
		if f.File == e.path && f.Line > 0 {
			f.Line += above
		}
		moved[i] = f
	}
	return comment(title, moved.Error())
}

// comment makes texts lines that begin with #.
func comment(texts ...string) string {
	var b strings.Builder
	for _, text := range texts {
		for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
			b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
		}
	}
	return b.String()
}

// withoutComment leaves out the lines in front that begin with #.
func withoutComment(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("#")) {
		_, rest, found := bytes.Cut(text, []byte("\n"))
		if !found {
			return nil
		}
		text = rest
	}
	return text
}
